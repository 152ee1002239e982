//! Deliveries as operators see them: what waits, what is dead, what was.

use std::sync::PoisonError;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::outbox::moment;
use super::reader::SqliteReader;
use super::tx::{bytes, time, unsigned};
use crate::clock::Timestamp;
use crate::notification::{DeliveryId, FallbackFor, Notified};
use crate::store::StoreError;
use crate::store::codec::{self, Content};
use crate::store::outbox::{Detail, Entry, Event, EventKind, FellBack, Filter, State};

/// The columns of an [`Entry`], in its order; `?1` is the present. The last two are the digest that a delivery goes out
/// with, and how many go out with it.
const COLUMNS: &str = "id, receiver, state, lease_until > ?1, discarded_at IS NOT NULL, received_at, since, due_at,
    ended_at, attempts, error, content, names, alerts, fallback_for, fallback_why, digest, carries";

impl SqliteReader {
    /// Deliveries, newest first, at most `limit`; and whether there are more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if they cannot be read.
    pub fn deliveries(&self, filter: &Filter, limit: usize) -> Result<(Vec<Entry>, bool), StoreError> {
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        // One transaction: a delivery that changes its state meanwhile is there once.
        let read = conn.unchecked_transaction()?;
        let mut all = Vec::new();
        for state in &filter.states {
            // Each state may have the newest.
            select(&read, *state, filter, limit.saturating_add(1), &mut all)?;
        }
        all.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        let more = all.len() > limit;
        all.truncate(limit);
        Ok((all, more))
    }

    /// All that is known of a delivery.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be read.
    pub fn delivery(&self, id: DeliveryId, now: Timestamp) -> Result<Option<Detail>, StoreError> {
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let read = conn.unchecked_transaction()?;
        let sql = format!(
            "SELECT {COLUMNS}, (SELECT key FROM lane WHERE lane.id = delivery.lane), lane, fallback, failing_since,
                 lease_until FROM delivery WHERE id = ?2"
        );
        let mut statement = read.prepare_cached(&sql)?;
        let found = statement.query_row(params![now.as_microsecond(), id.0], |row| {
            let (entry, content) = entry(row)?;
            let lane: i64 = row.get(19)?;
            let fallback = match row.get::<_, Option<String>>(20)?.as_deref() {
                Some("sent") => Some(FellBack::Told),
                Some("silent") => Some(FellBack::NothingToTell),
                Some(_) => Some(FellBack::NotYet),
                None => None,
            };
            let (content, unreadable) = match content {
                Some(Err(why)) => (None, Some(why)),
                Some(Ok(content)) => (Some(content), None),
                None => (None, None),
            };
            let detail = Detail {
                entry,
                lane: row.get(18)?,
                ahead: 0,
                fallback,
                failing_since: moment(row.get(21)?),
                leased_until: moment(row.get(22)?),
                group: content.as_ref().map(|content| content.group.labels.clone()).unwrap_or_default(),
                content: content.map(|content| content.alerts).unwrap_or_default(),
                unreadable,
                events: Vec::new(),
            };
            Ok((detail, lane))
        });
        let Some((mut detail, lane)) = found.optional()? else { return Ok(None) };
        if detail.entry.state == State::Queued {
            detail.ahead = ahead(&read, id, lane)?;
        }
        detail.events = events(&read, id)?;
        Ok(Some(detail))
    }
}

/// Which rows are in a state. `?1` is the present.
fn is_in(state: State) -> &'static str {
    match state {
        State::Held => "state = 'held'",
        State::Queued => "state = 'queued'",
        State::Ready => "state = 'ready' AND (lease_until IS NULL OR lease_until <= ?1)",
        State::Leased => "lease_until IS NOT NULL AND lease_until > ?1",
        State::Delivered => "state = 'delivered'",
        State::Dead => "state = 'dead' AND discarded_at IS NULL",
        State::Discarded => "discarded_at IS NOT NULL",
    }
}

fn select(
    conn: &Connection,
    state: State,
    filter: &Filter,
    limit: usize,
    all: &mut Vec<Entry>,
) -> Result<(), StoreError> {
    let mut values = vec![Value::Integer(filter.now.as_microsecond())];
    let mut conditions = vec![is_in(state).to_owned()];
    let mut place = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    if !filter.receivers.is_empty() {
        let places: Vec<_> = filter.receivers.iter().map(|name| place(Value::Text(name.clone()))).collect();
        conditions.push(format!("receiver IN ({})", places.join(", ")));
    }
    if let Some(from) = filter.from {
        conditions.push(format!("received_at >= {}", place(Value::Integer(from.as_microsecond()))));
    }
    if let Some(until) = filter.until {
        conditions.push(format!("received_at <= {}", place(Value::Integer(until.as_microsecond()))));
    }
    if !filter.alertnames.is_empty() && filter.alertnames.iter().all(|name| is_plain(name)) {
        // Not the answer, but it spares reading most of what is not meant.
        let any = |name: &String| format!("instr(coalesce(names, content), {}) > 0", place(Value::Text(name.clone())));
        let any: Vec<_> = filter.alertnames.iter().map(any).collect();
        conditions.push(format!("({})", any.join(" OR ")));
    }
    let sql = format!("SELECT {COLUMNS} FROM delivery WHERE {} ORDER BY id DESC", conditions.join(" AND "));
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = 0;
    while found < limit
        && let Some(row) = rows.next()?
    {
        let (entry, _) = entry(row)?;
        if filter.alertnames.is_empty() || entry.names.iter().any(|name| filter.alertnames.contains(name)) {
            found += 1;
            all.push(entry);
        }
    }
    Ok(())
}

/// Whether JSON writes a text as it is.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/') || c == ' ')
}

/// Reads [`COLUMNS`]; the content is `None` once it was delivered, or why it cannot be read.
fn entry(row: &Row<'_>) -> rusqlite::Result<(Entry, Option<Result<Content, String>>)> {
    let (is_leased, is_discarded): (Option<bool>, bool) = (row.get(3)?, row.get(4)?);
    let state = match row.get_ref(2)?.as_str()? {
        "held" => State::Held,
        "queued" => State::Queued,
        "ready" if is_leased == Some(true) => State::Leased,
        "ready" => State::Ready,
        "delivered" => State::Delivered,
        _ if is_discarded => State::Discarded,
        _ => State::Dead,
    };
    let carries = row.get::<_, Option<i64>>(17)?.map(unsigned);
    // What a digest says is with those that it carries.
    let is_told = |content: &&[u8]| !content.is_empty() && carries.is_none();
    let content = Some(bytes(row.get_ref(11)?)).filter(is_told).map(codec::decode);
    let (names, alerts) = match &content {
        Some(Ok(content)) => (names_of(&content.alerts), content.alerts.len() as u64),
        Some(Err(_)) => (Vec::new(), 0),
        None => {
            let names = serde_json::from_slice(bytes(row.get_ref(12)?)).unwrap_or_default();
            (names, row.get::<_, Option<i64>>(13)?.map(unsigned).unwrap_or_default())
        }
    };
    let fallback_for: Option<String> = row.get(14)?;
    let why: Option<String> = row.get(15)?;
    let entry = Entry {
        id: DeliveryId(row.get(0)?),
        receiver: row.get_ref(1)?.as_str()?.into(),
        state,
        received_at: time(row.get(5)?),
        since: time(row.get(6)?),
        due_at: time(row.get(7)?),
        ended_at: moment(row.get(8)?),
        attempts: row.get(9)?,
        error: row.get(10)?,
        names,
        alerts,
        fallback_for: fallback_for
            .map(|name| FallbackFor { receiver: name.as_str().into(), reason: why.unwrap_or_default() }),
        digest: row.get::<_, Option<i64>>(16)?.map(DeliveryId),
        carries,
    };
    Ok((entry, content))
}

fn names_of(alerts: &[Notified]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Notified { alert, .. } in alerts {
        if !names.iter().any(|name| name == alert.name()) {
            names.push(alert.name().to_owned());
        }
    }
    names
}

fn ahead(conn: &Connection, id: DeliveryId, lane: i64) -> Result<u64, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT count(*) FROM delivery INDEXED BY delivery_lane
         WHERE lane = ?1 AND (state = 'ready' OR state = 'queued' AND id < ?2)",
    )?;
    Ok(statement.query_row(params![lane, id.0], |row| row.get(0)).map(unsigned)?)
}

fn events(conn: &Connection, id: DeliveryId) -> Result<Vec<Event>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT at, what, note FROM event WHERE delivery = ?1 ORDER BY id")?;
    let mut rows = statement.query([id.0])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(what) = EventKind::from_word(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?) {
            events.push(Event { at: time(row.get(0)?), what, note: row.get(2)? });
        }
    }
    Ok(events)
}
