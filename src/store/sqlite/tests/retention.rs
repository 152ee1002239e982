//! What is kept for how long, and that the file does not grow for ever.

use std::sync::Arc;

use rusqlite::Connection;

use super::{Fixture, Folder, cache, open};
use crate::alert::{Alert, Group};
use crate::notification::Receipt;
use crate::store::conformance::{RETENTION, at, firing, intake, resolved};
use crate::store::sqlite::open::{DATABASE, convert, vacuums_in_steps};
use crate::store::{Admin, LeaseRequest, Outcome, Pruned, Store};

const DAY: i64 = 86_400;
/// Alerts that fire and end on a day: told together, and every tenth day one by one.
const ALERTS: u64 = 10;

fn pragma(conn: &Connection, name: &str) -> i64 {
    conn.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

/// Prunes as the service does every minute; the largest number of rows and of pages that one call took.
async fn prune(store: &dyn Admin, now: i64) -> (Pruned, usize, usize) {
    let (mut all, mut rows, mut pages) = (Pruned::default(), 0, 0);
    loop {
        let pruned = store.prune(at(now), RETENTION).await.unwrap();
        (rows, pages) = (rows.max(pruned.rows), pages.max(pruned.pages));
        all.rows += pruned.rows;
        all.pages += pruned.pages;
        all.dead.extend(pruned.dead);
        if !pruned.more {
            return (all, rows, pages);
        }
    }
}

/// An alert with the annotations that alerts have.
fn wordy(alert: Alert) -> Alert {
    let description = "Five of the last hundred requests to the checkout have failed. ".repeat(8);
    let annotations = [
        ("summary", "5xx > 5% on web-00"),
        ("description", &*description),
        ("runbook_url", "https://runbooks.example/high-error-rate"),
    ];
    Alert { annotations: annotations.into_iter().collect(), ..alert }
}

/// Takes in a body, and lets what it makes end: one in `dies` of the deliveries as a dead letter.
async fn live(store: &dyn Whole, receiver: &str, alerts: Vec<Alert>, now: i64, dies: usize) {
    let group = Arc::new(Group { key: "{}:{service=\"checkout\"}".repeat(4), ..Group::default() });
    store.accept(crate::store::Intake { group, ..intake("g", alerts, &[receiver], now) }).await.unwrap();
    let mut n = 0;
    loop {
        let ask = LeaseRequest {
            receiver: receiver.into(),
            now: at(now),
            until: at(now + 60),
            ordinary_due_by: None,
            holding: Vec::new(),
        };
        let Some(leased) = store.lease(ask).await.unwrap().leased else { return };
        let outcome = if n % dies == dies - 1 {
            Outcome::Dead { error: "HTTP 400: Event object is invalid".to_owned(), fallback: None }
        } else {
            Outcome::Delivered { receipt: Some(Receipt("x".repeat(40))) }
        };
        store.settle(leased.lease, outcome, at(now)).await.unwrap();
        n += 1;
    }
}

trait Whole: Store + Admin {}
impl<S: Store + Admin> Whole for S {}

#[tokio::test]
async fn in_a_year_the_file_grows_for_a_month() {
    let fixture = Fixture::with_room(1_000_000);
    let conn = fixture.backdoor();
    let file = fixture.folder.data().join(DATABASE);
    let (mut sizes, mut most_rows, mut most_pages) = (Vec::new(), 0, 0);
    for day in 0..365_i64 {
        let morning = 1_000_000 + day * DAY;
        let first = u64::try_from(day).unwrap() * ALERTS;
        let fingerprints = first..first + ALERTS;
        let begin = fingerprints.clone().map(|n| wordy(firing(n, morning))).collect();
        let end = fingerprints.map(|n| wordy(resolved(n, morning, morning + 600))).collect();
        let (receiver, dies) = if day % 10 == 0 { ("oncall", 5) } else { ("slack", if day % 10 == 5 { 1 } else { 2 }) };
        live(&fixture.store, receiver, begin, morning + 1, dies).await;
        live(&fixture.store, receiver, end, morning + 601, dies).await;
        let (_, rows, pages) = prune(&fixture.store, morning + 700).await;
        (most_rows, most_pages) = (most_rows.max(rows), most_pages.max(pages));
        if day % 10 == 0 || [30, 179, 364].contains(&day) {
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            sizes.push((day + 1, std::fs::metadata(&file).unwrap().len()));
        }
    }
    let of = |day: i64| sizes.iter().find(|(at, _)| *at == day).unwrap().1;
    let largest = sizes.iter().map(|(_, size)| *size).max().unwrap();
    println!("day 31: {}, day 180: {}, day 365: {}, largest: {largest} bytes", of(31), of(180), of(365));
    println!("at once: {most_rows} rows, {most_pages} pages");
    assert!(largest <= of(31) * 3 / 2, "{sizes:?}");
    assert!(most_rows <= 1000 && most_pages <= 512, "{most_rows} rows, {most_pages} pages");
    let sound: String = conn.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[tokio::test]
async fn a_storm_is_removed_in_pieces_and_its_room_given_back() {
    let fixture = Fixture::with_room(1_000_000);
    let all: Vec<Alert> = (0..1200).map(|n| wordy(firing(n, 1000))).collect();
    live(&fixture.store, "oncall", all, 1001, 5).await;
    let conn = fixture.backdoor();
    let before = pragma(&conn, "page_count");
    assert_eq!(prune(&fixture.store, 1001 + 30 * DAY).await.0.dead, [], "not before its time");
    let (pruned, rows, pages) = prune(&fixture.store, 1002 + 30 * DAY).await;
    assert_eq!(pruned.dead.iter().map(|(_, count)| count).sum::<u64>(), 240, "and it is known whose");
    assert!(pruned.rows >= 1200 && rows <= 5000 && pages <= 512, "{pruned:?}: {rows} rows, {pages} pages at once");
    let after = pragma(&conn, "page_count");
    assert!(after < before && pragma(&conn, "freelist_count") <= 256, "{before} pages, then {after}");
}

/// A database as versions before the retention made it: with half of it free.
fn of_before(folder: &Folder) {
    std::fs::create_dir(folder.data()).unwrap();
    let conn = Connection::open(folder.data().join(DATABASE)).unwrap();
    conn.execute_batch(include_str!("../migrations/0001-outbox-and-dedup.sql")).unwrap();
    conn.execute_batch("PRAGMA application_id = 0x616c7274; PRAGMA user_version = 1;").unwrap();
    let rejected = "INSERT INTO rejected (at, what, reason, content) VALUES (0, 'body', 'odd', zeroblob(60000))";
    for _ in 0..100 {
        conn.execute(rejected, []).unwrap();
    }
    conn.execute("DELETE FROM rejected WHERE id > 50", []).unwrap();
    assert_eq!(pragma(&conn, "auto_vacuum"), 0);
}

#[tokio::test]
async fn a_database_of_before_is_rewritten_once() {
    let folder = Folder::new();
    of_before(&folder);
    let store = open(&folder.data(), &cache());
    let conn = Connection::open(folder.data().join(DATABASE)).unwrap();
    assert_eq!((pragma(&conn, "auto_vacuum"), pragma(&conn, "freelist_count")), (2, 0));
    assert_eq!(store.rejected(1000).await.unwrap().len(), 50);
    assert_eq!(pragma(&Fixture::new().backdoor(), "auto_vacuum"), 2, "a new one is like that from the beginning");
}

#[tokio::test]
async fn a_database_that_cannot_be_rewritten_works_all_the_same() {
    let folder = Folder::new();
    of_before(&folder);
    let conn = Connection::open(folder.data().join(DATABASE)).unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    let before = (pragma(&conn, "page_count"), pragma(&conn, "freelist_count"));
    let other = Connection::open(folder.data().join(DATABASE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    convert(&conn).unwrap_err();
    drop(other);
    let tx = conn.unchecked_transaction().unwrap();
    convert(&tx).unwrap_err();
    drop(tx);
    assert_eq!((pragma(&conn, "page_count"), pragma(&conn, "freelist_count")), before, "as it was");
    assert!(!vacuums_in_steps(&Connection::open(folder.data().join(DATABASE)).unwrap()).unwrap());
    drop(conn);
    // The next start has more luck.
    let store = open(&folder.data(), &cache());
    assert_eq!(store.rejected(1000).await.unwrap().len(), 50);
}
