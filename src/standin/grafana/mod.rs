//! Grafana's annotations (grafana/grafana, `pkg/api/annotations.go`), by the API that it has had for long or, where that was
//! taken away, by the one that follows it.

mod apis;

use serde_json::{Value, json};

pub use apis::Backend;

use super::exchange::{Received, Reply};
use super::forget;
use crate::clock::Timestamp;

/// The service account token.
pub const TOKEN: &str = "glsa_standinstandinstandinstandin_00000000";

/// The path of the older API.
pub(super) const PATH: &str = "/api/annotations";

/// An annotation. Without a later `time_end` it is a point, with one a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its id, from 1.
    pub id: i64,
    /// Its name, in the newer API.
    pub name: String,
    /// Epoch milliseconds.
    pub time: i64,
    /// Epoch milliseconds; equal to `time` for a point, as Grafana stores it.
    pub time_end: i64,
    /// HTML.
    pub text: String,
    /// Tags.
    pub tags: Vec<String>,
    /// The dashboard it is on; empty for the organisation's.
    pub dashboard_uid: String,
    /// The panel it is on; 0 for all.
    pub panel_id: i64,
}

/// What Grafana remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    annotations: Vec<Annotation>,
    last_id: i64,
    /// Names of what was deleted, where they stay taken.
    buried: Vec<String>,
    /// The older API is not there, and annotations are kept like this.
    backend: Option<Backend>,
}

impl State {
    pub(super) fn annotations(&self) -> &[Annotation] {
        &self.annotations
    }

    pub(super) fn delete(&mut self, id: i64) {
        if self.backend == Some(Backend::Postgres) {
            let gone = self.annotations.iter().filter(|annotation| annotation.id == id);
            self.buried.extend(gone.map(|annotation| annotation.name.clone()));
        }
        self.annotations.retain(|annotation| annotation.id != id);
    }

    /// Somebody deletes all of them.
    #[cfg(test)]
    pub(crate) fn clear(&mut self) {
        while let Some(id) = self.annotations.first().map(|annotation| annotation.id) {
            self.delete(id);
        }
    }

    pub(super) fn only_apis(&mut self, backend: Option<Backend>) {
        self.backend = backend;
    }

    pub(super) fn answer(&mut self, received: &Received) -> Reply {
        if received.header("authorization") != format!("Bearer {TOKEN}") {
            return message(401, "Unauthorized");
        }
        if let Some(backend) = self.backend.filter(|_| received.path.starts_with("/apis/")) {
            return self.answer_apis(backend, received);
        }
        let (path, query) = received.path.split_once('?').unwrap_or((&received.path, ""));
        if self.backend.is_some() || path.starts_with("/apis/") {
            return message(404, "Not found");
        }
        let id = path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/'));
        match (received.method.as_str(), id) {
            ("GET", None) if path == PATH => self.find(query),
            ("POST", None) if path == PATH => self.add(received),
            ("PATCH", Some(id)) => self.patch(id, received),
            _ => message(404, "Not found"),
        }
    }

    fn add(&mut self, received: &Received) -> Reply {
        let Some(wanted) = Fields::read(received) else { return message(400, "bad request data") };
        let (Some(text), Some(time)) = (wanted.text.filter(|text| !text.is_empty()), wanted.time) else {
            return message(400, "Failed to save annotation");
        };
        let time_end = wanted.time_end.unwrap_or(time);
        self.last_id += 1;
        self.annotations.push(Annotation {
            id: self.last_id,
            name: format!("a-{}", self.last_id),
            time: time.min(time_end),
            time_end: time.max(time_end),
            text,
            tags: wanted.tags.unwrap_or_default(),
            dashboard_uid: received.json["dashboardUID"].as_str().unwrap_or_default().to_owned(),
            panel_id: received.json["panelId"].as_i64().unwrap_or_default(),
        });
        forget(&mut self.annotations);
        Reply::json(200, &json!({ "message": "Annotation added", "id": self.last_id }))
    }

    fn patch(&mut self, id: &str, received: &Received) -> Reply {
        let Ok(id) = id.parse::<i64>() else { return message(400, "annotationId is invalid") };
        let Some(known) = self.annotations.iter_mut().find(|annotation| annotation.id == id) else {
            return message(404, "Annotation not found");
        };
        let Some(wanted) = Fields::read(received) else { return message(400, "bad request data") };
        // What is empty or zero stays as it was.
        if let Some(text) = wanted.text.filter(|text| !text.is_empty()) {
            known.text = text;
        }
        if let Some(tags) = wanted.tags.filter(|tags| !tags.is_empty()) {
            known.tags = tags;
        }
        known.time = wanted.time.unwrap_or(known.time);
        known.time_end = wanted.time_end.unwrap_or(known.time_end).max(known.time);
        message(200, "Annotation patched")
    }

    fn find(&self, query: &str) -> Reply {
        let found: Vec<_> = self.tagged("tags", query).into_iter().map(shape).collect();
        Reply::json(200, &found.into())
    }

    /// Those with all of the tags of a query, newest first, at most its `limit`.
    fn tagged(&self, tag: &str, query: &str) -> Vec<&Annotation> {
        let (mut tags, mut limit) = (Vec::new(), 100);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => limit = value.parse().unwrap_or(limit),
                name if name == tag => tags.push(value.into_owned()),
                _ => {}
            }
        }
        let mut found: Vec<_> =
            self.annotations.iter().filter(|known| tags.iter().all(|tag| known.tags.contains(tag))).collect();
        found.sort_by_key(|annotation| (-annotation.time, -annotation.id));
        found.truncate(limit);
        found
    }

    /// What a person sees on the dashboard.
    pub(super) fn render(&self, received: &Received) -> String {
        let (path, _) = received.path.split_once('?').unwrap_or((&received.path, ""));
        let answer: Value = serde_json::from_str(&received.answer).unwrap_or_default();
        let in_path = path.rsplit_once('/').and_then(|(_, id)| id.parse().ok());
        let id = answer["id"].as_i64().or(in_path).unwrap_or_default();
        let known = self.annotations.iter().find(|annotation| annotation.id == id);
        let said = received.json["text"].as_str().filter(|text| !text.is_empty());
        let text = said.or(known.map(|known| known.text.as_str())).unwrap_or_default();
        let text = text.replace("<br>", "\n");
        if path.starts_with("/apis/") {
            let said = received.json["spec"]["text"].as_str().unwrap_or_default().replace("<br>", "\n");
            return format!("{} {path}\n  {}", received.method, plain(&said)).trim_end().to_owned();
        }
        let mut lines = text.lines().map(plain);
        let headline = lines.next().unwrap_or_default();
        let start = received.json["time"].as_i64().filter(|time| *time != 0).or(known.map(|known| known.time));
        let end = received.json["timeEnd"].as_i64().map_or_else(|| "…".to_owned(), clock);
        let span = format!("{} – {end}", start.map_or_else(String::new, clock));
        match received.method.as_str() {
            "GET" => "looks for an annotation of this episode".to_owned(),
            "PATCH" => format!("annotation {id} now {span}: {headline}"),
            _ => {
                let first = format!("annotation {id} from {span}: {headline}");
                std::iter::once(first).chain(lines).collect::<Vec<_>>().join("\n  ")
            }
        }
    }
}

/// The fields that a request may set; times are whole milliseconds, and 0 is absent.
struct Fields {
    text: Option<String>,
    tags: Option<Vec<String>>,
    time: Option<i64>,
    time_end: Option<i64>,
}

impl Fields {
    /// `None` if the body cannot be decoded.
    fn read(received: &Received) -> Option<Self> {
        Self::of(&received.json, "panelId").filter(|_| received.is_json())
    }

    fn of(body: &Value, panel: &str) -> Option<Self> {
        let body = body.as_object()?;
        let whole = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => value.as_i64().map(|number| Some(number).filter(|number| *number != 0)),
        };
        let text = match body.get("text") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_str()?.to_owned()),
        };
        let tags = match body.get("tags") {
            None | Some(Value::Null) => None,
            Some(value) => {
                Some(value.as_array()?.iter().map(|tag| Some(tag.as_str()?.to_owned())).collect::<Option<_>>()?)
            }
        };
        whole(panel)?;
        Some(Self { text, tags, time: whole("time")?, time_end: whole("timeEnd")? })
    }
}

fn shape(annotation: &Annotation) -> Value {
    json!({
        "id": annotation.id,
        "time": annotation.time,
        "timeEnd": annotation.time_end,
        "text": annotation.text,
        "tags": annotation.tags,
        "dashboardUID": annotation.dashboard_uid,
        "panelId": annotation.panel_id,
    })
}

fn message(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "message": message }))
}

fn clock(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |at| at.strftime("%H:%M:%S").to_string())
}

/// HTML as it looks: no tags, no entities.
fn plain(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((before, tail)) = rest.split_once('<') {
        out.push_str(before);
        rest = tail.split_once('>').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
