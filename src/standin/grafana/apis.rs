//! `/apis/annotation.grafana.app` (grafana/grafana, `pkg/registry/apps/annotation`), with what its two ways to keep
//! annotations make of a name and of times.

use serde_json::{Value, json};

use super::super::exchange::{Received, Reply};
use super::{Annotation, Fields, State};

const BASE: &str = "/apis/annotation.grafana.app/v0alpha1/namespaces/";
const VERSION: &str = "annotation.grafana.app/v0alpha1";
/// The organisation's namespace.
const NAMESPACE: &str = "default";

/// How a Grafana without `/api/annotations` keeps its annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In its own database: every annotation gets a name of Grafana's choice.
    Sql,
    /// In a database of their own: names are kept, also those of what was deleted, and times cannot be changed.
    Postgres,
}

impl State {
    pub(super) fn answer_apis(&mut self, backend: Backend, received: &Received) -> Reply {
        let (path, query) = received.path.split_once('?').unwrap_or((&received.path, ""));
        let Some((namespace, rest)) = path.strip_prefix(BASE).and_then(|rest| rest.split_once('/')) else {
            return Reply::text(404, "404 page not found");
        };
        if namespace != NAMESPACE {
            return status(403, "Forbidden", "annotations.annotation.grafana.app is forbidden");
        }
        let name = rest.strip_prefix("annotations/");
        match (received.method.as_str(), rest, name) {
            ("POST", "annotations", _) => self.create(backend, received),
            ("GET", "search", _) => self.search(query),
            ("PATCH", _, Some(name)) => self.update(backend, name, received),
            ("DELETE", _, Some(name)) => self.remove(backend, name),
            _ => Reply::text(404, "404 page not found"),
        }
    }

    fn create(&mut self, backend: Backend, received: &Received) -> Reply {
        let body = &received.json;
        let metadata = |field: &str| body["metadata"][field].as_str().unwrap_or_default();
        let name = metadata("name");
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let spec = Fields::of(&body["spec"], "panelID").filter(|_| received.is_json());
        let bad = if body["apiVersion"] != VERSION || body["kind"] != "Annotation" {
            "the object provided is unrecognized"
        } else if !matches!(metadata("namespace"), "" | NAMESPACE) {
            "the namespace of the provided object does not match the namespace sent on the request"
        } else if name.is_empty() || name.len() > 253 || !name.chars().all(is_name) {
            "metadata.name or metadata.generateName is required"
        } else {
            ""
        };
        let Some(spec) = spec.filter(|_| bad.is_empty()) else { return status(400, "BadRequest", bad) };
        let (Some(text), Some(time)) = (spec.text.filter(|text| !text.is_empty()), spec.time) else {
            return status(400, "BadRequest", "text and time are required");
        };
        if spec.time_end.is_some_and(|end| end < time) {
            return status(500, "InternalError", "annotation timeEnd must be after time");
        }
        let is_taken =
            self.annotations.iter().any(|known| known.name == name) || self.buried.contains(&name.to_owned());
        if backend == Backend::Postgres && is_taken {
            return status(
                409,
                "AlreadyExists",
                &format!("annotations.annotation.grafana.app \"{name}\" already exists"),
            );
        }
        self.last_id += 1;
        let name = if backend == Backend::Sql { format!("a-{}", self.last_id) } else { name.to_owned() };
        let annotation = Annotation {
            id: self.last_id,
            name,
            time,
            time_end: spec.time_end.unwrap_or(time),
            text,
            tags: spec.tags.unwrap_or_default(),
            dashboard_uid: body["spec"]["dashboardUID"].as_str().unwrap_or_default().to_owned(),
            panel_id: body["spec"]["panelID"].as_i64().unwrap_or_default(),
        };
        let shown = resource(&annotation);
        self.annotations.push(annotation);
        Reply::json(201, &shown)
    }

    fn update(&mut self, backend: Backend, name: &str, received: &Received) -> Reply {
        if received.header("content-type") != "application/merge-patch+json" {
            return status(415, "UnsupportedMediaType", "the body of the request was in an unknown format");
        }
        let Some(known) = self.annotations.iter_mut().find(|known| known.name == name) else { return gone(name) };
        let Some(spec) = Fields::of(&received.json["spec"], "panelID") else {
            return status(400, "BadRequest", "error decoding patch");
        };
        known.text = spec.text.unwrap_or_else(|| known.text.clone());
        known.tags = spec.tags.unwrap_or_else(|| known.tags.clone());
        let times = (spec.time.unwrap_or(known.time), spec.time_end.unwrap_or(known.time_end));
        let mut shown = known.clone();
        // The answer has them in any case.
        (shown.time, shown.time_end) = times;
        if backend == Backend::Sql {
            (known.time, known.time_end) = times;
        }
        Reply::json(200, &resource(&shown))
    }

    fn remove(&mut self, backend: Backend, name: &str) -> Reply {
        let before = self.annotations.len();
        self.annotations.retain(|known| known.name != name);
        if self.annotations.len() == before {
            return gone(name);
        }
        if backend == Backend::Postgres {
            self.buried.push(name.to_owned());
        }
        Reply::json(200, &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }))
    }

    fn search(&self, query: &str) -> Reply {
        let found: Vec<_> = self.tagged("tag", query).into_iter().map(resource).collect();
        Reply::json(200, &json!({ "metadata": {}, "items": found }))
    }
}

fn resource(annotation: &Annotation) -> Value {
    let mut spec = json!({ "text": annotation.text, "time": annotation.time, "tags": annotation.tags });
    if annotation.time_end != annotation.time {
        spec["timeEnd"] = annotation.time_end.into();
    }
    let metadata = json!({ "name": annotation.name, "namespace": NAMESPACE });
    json!({ "kind": "Annotation", "apiVersion": VERSION, "metadata": metadata, "spec": spec })
}

fn gone(name: &str) -> Reply {
    status(404, "NotFound", &format!("annotations.annotation.grafana.app \"{name}\" not found"))
}

fn status(code: u16, reason: &str, message: &str) -> Reply {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code });
    Reply::json(code, &body)
}
