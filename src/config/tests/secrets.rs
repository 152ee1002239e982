//! Secrets: where they come from, and that they are never shown.

use super::*;

#[test]
fn secrets_are_checked_and_never_shown() {
    let check = |secret: &str, expected: &[&str]| check_receiver(&format!("webhook: {{url: {secret}}}"), expected);
    check("{env: HOOK}", &[]);
    check("{file: hook}", &[]);
    check("https://hooks.example/s3cr3tmarker", &[]);
    check("{env: NONE}", &["f:1:44: error: the environment variable NONE is not set; set it for `url`"]);
    check("{env: s3cr3tmarker}", &["f:1:44: error: that variable is not set; set it for `url`"]);
    check("{env: EMPTY}", &["f:1:44: error: the environment variable EMPTY (`url`) is empty"]);
    check("{env: TOKEN}", &["f:1:44: error: the environment variable TOKEN (`url`) is not an address"]);
    check("{file: none}", &["f:1:45: error: the file none does not exist; it must hold `url`"]);
    check("{file: empty}", &["f:1:45: error: the file empty (`url`) is empty"]);
    check("{file: binary}", &["f:1:45: error: the file binary is not UTF-8; it must hold `url`"]);
    check("{}", &["f:1:38: error: a secret has either `env` or `file`; write `{env: NAME}` or `{file: PATH}`"]);
    check(
        "{env: A, file: b}",
        &["f:1:38: error: a secret has either `env` or `file`; write `{env: NAME}` or `{file: PATH}`"],
    );
    check(
        "{s3cr3tmarker}",
        &[
            "f:1:38: error: a secret has either `env` or `file`; write `{env: NAME}` or `{file: PATH}`",
            "f:1:39: error: unknown key in a secret",
        ],
    );
    check(
        "[s3cr3tmarker]",
        &[
            "f:1:38: error: `url` must be a secret, and this is a list; write `{env: NAME}`, `{file: PATH}` or the value itself",
        ],
    );
    check("s3cr3tmarker", &["f:1:38: error: `url` is not an address"]);
    check_receiver(
        "pagerduty: {routing_key: s3cr3tmarker}",
        &["f:1:48: error: `routing_key` is not a PagerDuty integration key: these have 32 letters and digits"],
    );
    check_receiver(
        "grafana: {url: http://g, token: {env: ODD}}",
        &["f:1:61: error: the environment variable ODD (`token`) has characters that cannot be sent in a header"],
    );
    check_receiver(
        "grafana: {url: http://g, token: {file: open}}",
        &["f:1:62: warning: other users can read open; chmod o-r open"],
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown_either() {
    let hook = format!("https://hooks.example/{MARK}");
    for text in [
        format!("receivers: [{{name: a, slack: {{webhok_url: '{hook}'}}, x: y}}]"),
        format!("receivers: [{{name: a, token: {MARK}, slack: {MARK}}}] # {MARK}"),
        format!("receivers: [{{name: a, slack: [{MARK}, {{b: {MARK}}}]}}] # {MARK}"),
        format!("receivers: {MARK}\nroute: {MARK}"),
        format!("receivers: [{{name: a, webhook: {{url: \"{hook}\n  x\", z: 1}}}}]"),
        format!("x: &{MARK} {{a: {MARK}, b: 1}}\ny: {{<<: *{MARK}, a: 2}}\n? [{MARK}]\n: x"),
        format!("receivers:\n- name: a\n  slack:\n    webhook_url: \"{hook}\n  x: y: {MARK}"),
        format!("webhook_url: '{hook}' {MARK}"),
        format!("receivers: !{MARK} x"),
        format!("receivers: !{MARK}`{MARK} x"),
        format!("receivers: *{MARK}"),
        format!("{MARK}: {MARK}\n{MARK}: 1\ntoken: {{{MARK}, {MARK}}}"),
    ] {
        assert!(!rendered(&text).is_empty(), "{text}");
    }
}

#[test]
fn a_secret_where_a_word_belongs_is_not_shown_either() {
    // Whatever is wrong, at its place or elsewhere in its line.
    let places = [
        "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a, @]}}",
        "{receivers: [{name: a, webhook: {url: {file: hook}}, fallback: @}], route: {receivers: [a]}}",
        "{receivers: [{name: @, fallback: @, webhook: {url: {file: hook}}}], route: {receivers: [a]}}",
        "{receivers: [{name: @, webhook: {url: {file: hook}}}, {name: @, slack: x}], route: {receivers: [@, @]}}",
        "{receivers: [{name: a, webhook: {url: {file: @}}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, webhook: {url: {env: @}}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, send_resolved: @, timeout: @, retry: {max_age: @}, rate_limit: {rate: @, burst: @, \
         overflow: @}, fallback_after: @, webhook: {url: {file: hook}}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, grafana: {url: @, token: @, tags: [@], x: y}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, pagerduty: {url: @, routing_key: @, x: y}}], route: {receivers: [a]}}",
        "{receivers: @, route: {receivers: @, routes: [{matchers: [@], continue: @, repeat_interval: @}]}, x: y}",
        "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a], repeat_intervall: @, x: y}}",
        "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a]}, \
         dedup: {settle: @, ignore_labels: [@], x: y}}",
        "{@: @, x: y}",
    ];
    // The scheme is escaped, too: `/` in double quotes.
    let secrets = [format!("https://hooks.example/services/T0/B0/{MARK}?q"), format!("xoxb-12-{MARK}"), KEY.to_owned()];
    let escaped = format!(r"https:\x2f/hooks.example/{MARK}?q");
    for place in places {
        for secret in &secrets {
            assert!(!rendered(&place.replace('@', &format!("'{secret}'"))).is_empty(), "{place}");
        }
        assert!(!rendered(&place.replace('@', &format!("\"{escaped}\""))).is_empty(), "{place}");
    }
    let text = "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a, 'https://x/y']}}";
    assert!(rendered(text).starts_with("error: there is no receiver with that name\n"), "{}", rendered(text));
}

#[test]
fn secrets_are_what_was_given() {
    let check = |text: &str, resolve_secrets: bool, expected: &str| {
        let secrets = Secrets { source: &Fake, resolve: resolve_secrets, base: Path::new("base") };
        let Document { mut cx, root } =
            yaml::parse(text.as_bytes(), &Limits::CONFIGURATION, Shown::WhatIsAllowed).unwrap();
        let secret = secrets.read(&mut cx, &root, "url", |_| Ok(())).unwrap();
        assert_eq!(secret.expose_secret(), expected);
        assert_eq!(cx.finish(), []);
    };
    let hook = format!("https://hooks.example/{MARK}");
    check("{file: hook}", true, &hook);
    check("{file: /hook}", true, &hook);
    check("{env: HOOK}", true, &hook);
    check("plain", true, "plain");
    check("'007'", true, "007");
    check("007", true, "007");
    check("{env: HOOK}", false, "");
    check("{file: nowhere}", false, "");
}

#[test]
fn secret_files_are_read() {
    let folder = folder(&[("x", "line\r\n"), ("large", &"x".repeat(70_000))]);
    let file = secret::System.file(&folder.path().join("x")).unwrap();
    assert_eq!((file.content.as_str(), file.others_can_read), ("line\r\n", false));
    assert_eq!(secret::System.file(&folder.path().join("large")).err().unwrap().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(secret::System.file(&folder.path().join("y")).err().unwrap().kind(), io::ErrorKind::NotFound);
    // Opening a pipe would wait for whoever writes to it.
    for (name, kind) in [("pipe", "is a named pipe"), (".", "is a directory")] {
        let path = folder.path().join(name);
        if name == "pipe" {
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        }
        let text = format!("receivers: [{{name: a, webhook: {{url: {{file: {name}}}}}}}]\nroute: {{receivers: [a]}}");
        fs::write(folder.path().join("routes.yaml"), text).unwrap();
        let Err(ConfigError::Invalid { problems, .. }) = load(&folder.path().join("routes.yaml"), &Options::default())
        else {
            panic!("{name} is no file")
        };
        assert_eq!(problems[0].message, format!("the file {name} {kind}"));
    }
    #[cfg(unix)]
    {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(folder.path().join("x"), open).unwrap();
        assert!(secret::System.file(&folder.path().join("x")).unwrap().others_can_read);
    }
}

#[test]
fn relative_files_are_looked_up_beside_the_configuration() {
    let text = "receivers: [{name: a, webhook: {url: {file: hook}}}]\nroute: {receivers: [a]}";
    let folder = folder(&[("routes.yaml", text), ("hook", "http://localhost/\n")]);
    let loaded = load(&folder.path().join("routes.yaml"), &Options::default()).unwrap();
    assert_eq!((loaded.warnings, loaded.source_hash), (vec![], hash(text.as_bytes())));
    fs::remove_file(folder.path().join("hook")).unwrap();
    let error = load(&folder.path().join("routes.yaml"), &Options::default()).unwrap_err();
    assert!(error.to_string().ends_with("routes.yaml has 1 error"), "{error}");
}

#[test]
fn of_what_is_no_yaml_only_the_punctuation_is_shown() {
    let text = format!("receivers:\n- name: a\n  slack: {{ webhook_url: https://x/{MARK}: {MARK} ]\n");
    insta::assert_snapshot!(rendered(&text));
}
