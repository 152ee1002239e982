//! A row for each heartbeat.

use std::time::Duration;

use rusqlite::params;

use super::SqliteStore;
use super::tx::{Tx, optional_time, time, unsigned};
use super::writer::IfAbandoned;
use crate::clock::Timestamp;
use crate::heartbeat::{Record, Told};
use crate::store::{Answer, Heartbeats, StoreError};

impl Heartbeats for SqliteStore {
    fn heartbeats(&self) -> Answer<'_, Vec<(String, Record)>> {
        Box::pin(self.writer.run(1, IfAbandoned::Skip, |tx| all(tx)))
    }

    fn keep_heartbeat(&self, name: String, record: Record) -> Answer<'_, ()> {
        Box::pin(self.writer.run(1, IfAbandoned::Run, move |tx| keep(tx, &name, &record)))
    }

    fn forget_heartbeat(&self, name: String) -> Answer<'_, ()> {
        let work = move |tx: &mut Tx<'_>| {
            tx.conn.prepare_cached("DELETE FROM heartbeat WHERE name = ?1")?.execute([&name])?;
            Ok(())
        };
        Box::pin(self.writer.run(1, IfAbandoned::Run, work))
    }
}

fn all(tx: &Tx<'_>) -> Result<Vec<(String, Record)>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT name, terms, since, silent, heard_at, heard_from, started_at, ended_at FROM heartbeat ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| {
        let heard_at = optional_time(row, 4)?;
        let (started, ended) = (optional_time(row, 6)?, optional_time(row, 7)?);
        let record = Record {
            terms: row.get(1)?,
            since: time(row.get(2)?),
            silent: Duration::from_micros(unsigned(row.get(3)?)),
            heard: heard_at.zip(row.get(5)?),
            told: started.map(|started| Told { started, ended }),
        };
        Ok((row.get(0)?, record))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn keep(tx: &Tx<'_>, name: &str, record: &Record) -> Result<(), StoreError> {
    let (heard_at, heard_from) = record.heard.as_ref().map(|(at, from)| (at.as_microsecond(), from)).unzip();
    tx.conn
        .prepare_cached(
            "INSERT INTO heartbeat (name, terms, since, silent, heard_at, heard_from, started_at, ended_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (name) DO UPDATE SET terms = excluded.terms, since = excluded.since, silent = excluded.silent,
             heard_at = excluded.heard_at, heard_from = excluded.heard_from, started_at = excluded.started_at,
             ended_at = excluded.ended_at",
        )?
        .execute(params![
            name,
            record.terms,
            record.since.as_microsecond(),
            i64::try_from(record.silent.as_micros()).unwrap_or(i64::MAX),
            heard_at,
            heard_from,
            record.told.map(|told| told.started.as_microsecond()),
            record.told.and_then(|told| told.ended).map(Timestamp::as_microsecond),
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::Cache;
    use crate::store::sqlite::Options;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn a_record_comes_back_as_it_was_kept() {
        let folder = std::env::temp_dir().join(format!("alertrouter-heartbeats-{:016x}", fastrand::u64(..)));
        let open = || SqliteStore::open(&folder, Options::new(Cache::new(1, Duration::ZERO)), at(0)).unwrap();
        let silent = Duration::from_millis(1500);
        let new = Record { terms: "300s {a=\"b\"}".into(), since: at(1), silent, heard: None, told: None };
        let told = |ended| Some(Told { started: at(2), ended });
        let missing = Record { heard: Some((at(1), "http://am".into())), told: told(None), ..new.clone() };
        let returned = Record { heard: Some((at(3), String::new())), told: told(Some(at(4))), ..new.clone() };
        let store = open();
        for record in [&returned, &new, &missing] {
            store.keep_heartbeat("one".into(), record.clone()).await.unwrap();
            store.keep_heartbeat("two".into(), returned.clone()).await.unwrap();
            let all = store.heartbeats().await.unwrap();
            assert_eq!(all, [("one".into(), record.clone()), ("two".into(), returned.clone())]);
        }
        drop(store);
        let store = open();
        store.forget_heartbeat("two".into()).await.unwrap();
        assert_eq!(store.heartbeats().await.unwrap(), [("one".into(), missing)]);
        drop(store);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
