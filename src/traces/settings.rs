//! Where traces go, and which: the flag, and the variables that everybody knows who uses OpenTelemetry.

use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

/// Where OTLP over HTTP takes traces, below the collector's address.
const PATH: &str = "/v1/traces";
const TIMEOUT: Duration = Duration::from_secs(10);
const DELAY: Duration = Duration::from_secs(5);
/// How many spans may wait to be exported; a span takes up to a few kilobytes.
const QUEUE: u64 = 2048;
const MOST_QUEUE: u64 = 65_536;
const BATCH: u64 = 512;
/// Headers that the export has of its own; another length, and the collector would take half a body for a whole one.
const NOT_YOURS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Where traces are exported to, and which.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) url: SecretString,
    /// Scheme, host and port: what of the address is no secret.
    pub(super) origin: String,
    pub(super) headers: Vec<(String, SecretString)>,
    pub(super) timeout: Duration,
    pub(super) sampler: Sampler,
    pub(super) resource: Vec<(String, String)>,
    /// How long a span may wait for others.
    pub(super) delay: Duration,
    pub(super) queue: usize,
    pub(super) batch: usize,
}

impl Settings {
    /// Reads the address, and the variables of the environment, which `env` looks up; `None` if tracing is off all the same.
    ///
    /// # Errors
    /// A line that says what is wrong with which of them. It never quotes the address or a header.
    pub fn read(endpoint: &str, env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let env = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let (url, origin) = address(endpoint)?;
        for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            if let Some(protocol) = env(name) {
                if protocol == "http/protobuf" {
                    break;
                }
                return Err(format!(
                    "{name} is {protocol:?}, and traces are sent as http/protobuf only; unset it, and give --otlp-endpoint the collector's port for that, mostly 4318"
                ));
            }
        }
        let queue = number(&env, "OTEL_BSP_MAX_QUEUE_SIZE", 1..=MOST_QUEUE)?.unwrap_or(QUEUE);
        let batch = number(&env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1..=queue)?.unwrap_or(BATCH.min(queue));
        Ok(Some(Self {
            url,
            origin,
            headers: headers(&env)?,
            timeout: millis(&env, &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"])?
                .unwrap_or(TIMEOUT),
            sampler: sampler(&env)?,
            resource: resource(&env)?,
            delay: millis(&env, &["OTEL_BSP_SCHEDULE_DELAY"])?.unwrap_or(DELAY),
            queue: usize::try_from(queue).unwrap_or(usize::MAX),
            batch: usize::try_from(batch).unwrap_or(usize::MAX),
        }))
    }

    /// Scheme, host and port of the collector.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

fn address(endpoint: &str) -> Result<(SecretString, String), String> {
    let wrong = || {
        "--otlp-endpoint is not an address of http:// or https://; give the collector's, such as http://otel-collector:4318".to_owned()
    };
    let mut url = Url::parse(endpoint.trim()).map_err(|_| wrong())?;
    let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let origin = format!("{}://{host}{port}", url.scheme());
    let base = url.path().trim_end_matches('/');
    // Without a slash at its end in any case: a collector knows no such path.
    let path = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
    url.set_path(&path);
    Ok((String::from(url).into(), origin))
}

fn number(
    env: &impl Fn(&str) -> Option<String>,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, String> {
    let Some(text) = env(name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (least, most) = (range.start(), range.end());
    number.map(Some).ok_or_else(|| format!("{name} is {text:?}; give a whole number from {least} to {most}"))
}

/// The first of these that is set.
fn millis(env: &impl Fn(&str) -> Option<String>, names: &[&str]) -> Result<Option<Duration>, String> {
    let Some(name) = names.iter().find(|name| env(name).is_some()) else { return Ok(None) };
    let millis = number(env, name, 1..=600_000).map_err(|error| format!("{error}, in milliseconds"))?;
    Ok(millis.map(Duration::from_millis))
}

/// `api-key=secret,other=value%20with%20spaces`. What is said for traces alone comes in place of what is said for all.
fn headers(env: &impl Fn(&str) -> Option<String>) -> Result<Vec<(String, SecretString)>, String> {
    let mut headers: Vec<(String, SecretString)> = Vec::new();
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        for (header, value) in pairs(name, env(name).as_deref())? {
            let header = header.to_ascii_lowercase();
            let is_token =
                header.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            let is_text = value.bytes().all(|byte| (b' '..0x7f).contains(&byte));
            if !is_token || !is_text {
                return Err(format!(
                    "{name} has a header that cannot be sent; write NAME=VALUE,NAME=VALUE, with what is not a letter, a digit or one of -._~ as %XX"
                ));
            }
            if NOT_YOURS.contains(&header.as_str()) {
                return Err(format!(
                    "{name} has {header}, which belongs to the connection or to what is sent; leave it out"
                ));
            }
            headers.retain(|(known, _)| *known != header);
            headers.push((header, value.into()));
        }
    }
    Ok(headers)
}

fn resource(env: &impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let mut all = vec![
        ("service.name".to_owned(), env!("CARGO_PKG_NAME").to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let attributes = pairs("OTEL_RESOURCE_ATTRIBUTES", env("OTEL_RESOURCE_ATTRIBUTES").as_deref())?;
    let name = env("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name));
    for (key, value) in attributes.into_iter().chain(name) {
        all.retain(|(known, _)| *known != key);
        all.push((key, value));
    }
    Ok(all)
}

/// `key=value,key=value`, percent-encoded. The error says nothing of the values, which may be secrets.
fn pairs(name: &str, text: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let entries = text.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
    };
    let all: Option<Vec<_>> = entries.map(pair).collect();
    all.ok_or_else(|| format!("{name} cannot be read; write KEY=VALUE,KEY=VALUE"))
}

fn sampler(env: &impl Fn(&str) -> Option<String>) -> Result<Sampler, String> {
    const NAMES: &str = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio";
    let name = env("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
    let (is_parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let root = match root {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => {
            let text = env("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
            let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            let ratio = ratio.ok_or_else(|| {
                format!("OTEL_TRACES_SAMPLER_ARG is {text:?}; give the share of traces to keep, from 0 to 1")
            })?;
            Sampler::TraceIdRatioBased(ratio)
        }
        _ => return Err(format!("OTEL_TRACES_SAMPLER is {name:?}; use {NAMES}")),
    };
    Ok(if is_parent_based { Sampler::ParentBased(Box::new(root)) } else { root })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(endpoint: &str, env: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read(endpoint, |name| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn taken(env: &[(&str, &str)]) -> Settings {
        read("http://collector:4318", env).unwrap().unwrap()
    }

    #[test]
    fn the_path_is_added_where_it_is_not_there() {
        for (endpoint, url, origin) in [
            ("http://collector:4318", "http://collector:4318/v1/traces", "http://collector:4318"),
            ("https://c.example/", "https://c.example/v1/traces", "https://c.example"),
            ("https://c.example/otlp/", "https://c.example/otlp/v1/traces", "https://c.example"),
            ("http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/traces", "http://[::1]:4318"),
            ("http://collector:4318/v1/traces/", "http://collector:4318/v1/traces", "http://collector:4318"),
            ("http://me:secret@c:4318?key=secret", "http://me:secret@c:4318/v1/traces?key=secret", "http://c:4318"),
        ] {
            let settings = read(endpoint, &[]).unwrap().unwrap();
            assert_eq!((settings.url.expose_secret(), settings.origin()), (url, origin), "{endpoint}");
            assert!(!format!("{settings:?}").contains("secret@"), "{settings:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_in_a_line_without_secrets() {
        for endpoint in ["collector:4318", "marker", "grpc://marker:4317", "http://", "unix:/marker", ""] {
            let error = read(endpoint, &[]).unwrap_err();
            assert!(error.contains("http://otel-collector:4318") && !error.contains("marker"), "{error}");
        }
        for (name, value, expected) in [
            ("OTEL_TRACES_SAMPLER", "often", "is \"often\"; use always_on"),
            ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote", "use always_on"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "marker", "write KEY=VALUE"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a key=marker", "a header that cannot be sent"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "key=marker%0a", "a header that cannot be sent"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "key=marker%C3%A9", "a header that cannot be sent"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Content-Length=5", "leave it out"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "a whole number from 1 to 600000, in milliseconds"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5s", "a whole number"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "1000000", "from 1 to 65536"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "from 1 to 2048"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf only"),
            ("OTEL_RESOURCE_ATTRIBUTES", "marker", "write KEY=VALUE"),
        ] {
            let error = read("http://c:4318", &[(name, value)]).unwrap_err();
            assert!(error.starts_with(name) && error.contains(expected) && !error.contains('\n'), "{error}");
            assert!(!error.contains("marker"), "{error}");
        }
        for ratio in ["2", "-1", "NaN", "half"] {
            let env = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", ratio)];
            assert!(read("http://c:4318", &env).unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG is"), "{ratio}");
        }
    }

    #[test]
    fn what_is_said_for_traces_comes_before_what_is_said_for_all() {
        let settings = taken(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20a+b==, x-team = ops,"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-team=traces"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3000"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ]);
        let headers: Vec<_> =
            settings.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("authorization", "Basic a+b=="), ("x-team", "traces")]);
        assert_eq!(settings.timeout, Duration::from_secs(3));
    }

    #[test]
    fn the_service_has_a_name_and_takes_another() {
        let of = |env: &[(&str, &str)], key: &str| {
            let found = taken(env).resource.into_iter().filter(|(known, _)| known == key).map(|(_, value)| value);
            found.collect::<Vec<_>>()
        };
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=the%20test");
        assert_eq!(of(&[], "service.name"), ["alertrouter"]);
        assert_eq!(of(&[attributes], "service.name"), ["a"]);
        assert_eq!(of(&[attributes], "deployment.environment.name"), ["the test"]);
        assert_eq!(of(&[attributes, ("OTEL_SERVICE_NAME", "b")], "service.name"), ["b"]);
    }

    #[test]
    fn samplers_have_their_usual_names() {
        for (name, ratio, expected) in [
            ("", "", "ParentBased(AlwaysOn)"),
            ("always_on", "", "AlwaysOn"),
            ("always_off", "", "AlwaysOff"),
            ("parentbased_always_off", "", "ParentBased(AlwaysOff)"),
            ("traceidratio", "0.25", "TraceIdRatioBased(0.25)"),
            ("parentbased_traceidratio", "", "ParentBased(TraceIdRatioBased(1.0))"),
        ] {
            let env = [("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", ratio)];
            assert_eq!(format!("{:?}", taken(&env).sampler), expected, "{name}");
        }
    }

    #[test]
    fn it_can_be_switched_off_for_all() {
        assert!(read("http://c:4318", &[("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        assert!(read("http://c:4318", &[("OTEL_SDK_DISABLED", "yes")]).unwrap().is_some());
    }
}
