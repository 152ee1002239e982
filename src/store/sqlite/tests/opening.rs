//! Opening: errors are one line that says what to do.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::{Fixture, Folder, cache, open};
use crate::alert::{Alert, Group};
use crate::clock::Timestamp;
use crate::notification::Reason;
use crate::store::conformance::{Words, again_at, at, contents, firing, listed, overdue};
use crate::store::sqlite::open::DATABASE;
use crate::store::sqlite::{Options, SqliteReader, SqliteStore};
use crate::store::{Admin, Rejected, RejectedWhat, Store, codec};

fn error(folder: &Folder) -> String {
    let error = SqliteStore::open(&folder.data(), Options::new(cache()), Timestamp::UNIX_EPOCH).unwrap_err();
    error.to_string().replace(&folder.0.display().to_string(), "")
}

#[track_caller]
fn check(folder: &Folder, expected: &str) {
    let error = error(folder);
    assert!(error.contains(expected), "{error}");
    assert!(!error.contains('\n') && error.contains("; "), "one line and a hint: {error}");
}

#[test]
fn the_directory_is_made_for_its_owner_only() {
    let fixture = Fixture::new();
    assert_eq!(std::fs::metadata(fixture.folder.data()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(fixture.folder.data().join(DATABASE).is_file());
}

#[test]
fn a_second_process_is_refused() {
    let fixture = Fixture::new();
    check(&fixture.folder, "the data directory /data is in use by another alertrouter; ");
    let Fixture { store, cache, folder } = fixture;
    store.close().unwrap();
    open(&folder.data(), &cache);
}

#[test]
fn what_is_in_the_way_is_named() {
    let folder = Folder::new();
    std::fs::write(folder.data(), "").unwrap();
    check(&folder, "the data directory /data is a file");

    let folder = Folder::new();
    std::fs::create_dir_all(folder.data().join(DATABASE)).unwrap();
    check(&folder, "/data/alertrouter.db is a directory");

    let folder = Folder::new();
    std::fs::create_dir_all(folder.data().join("alertrouter.lock")).unwrap();
    check(&folder, "/data cannot be written: alertrouter.lock: ");

    let folder = Folder::new();
    std::os::unix::fs::symlink("/proc/nowhere", folder.data()).unwrap();
    check(&folder, "the data directory /data cannot be created: ");
}

#[test]
fn a_damaged_or_foreign_database_is_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir(folder.data()).unwrap();
    let path = folder.data().join(DATABASE);
    let text = "this is not a database, but it is long enough to be taken for one ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    check(&folder, "file is not a database; restore it from a backup");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE lane (of, another)").unwrap();
    check(&folder, "it is the database of another program");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let fixture = Fixture::new();
    fixture.backdoor().pragma_update(None, "user_version", 99).unwrap();
    let folder = fixture.folder.crashed();
    check(&folder, "it was written by a newer alertrouter (version 99, this one knows 7)");
    let error = SqliteReader::open(&folder.data()).unwrap_err().to_string();
    assert!(error.contains("newer alertrouter"), "{error}");
}

/// What version 1 wrote: a delivery that is tried again, one behind it, a dead letter, and what was told.
const OF_VERSION_1: &str = r"
    PRAGMA application_id = 0x616c7274;
    PRAGMA user_version = 1;
    INSERT INTO lane (id, receiver, key) VALUES (1, 'slack', 'g');
    INSERT INTO delivery (id, lane, receiver, state, received_at, since, due_at, attempts, content, error, ended_at) VALUES
        (1, 1, 'slack', 'dead', 90000000, 90000000, 90000000, 1, '{}', '400', 91000000),
        (2, 1, 'slack', 'ready', 110000000, 110000000, 150000000, 3, CONTENT, 'unavailable: HTTP 503', NULL),
        (3, 1, 'slack', 'queued', 120000000, 120000000, 120000000, 0, BEHIND, NULL, NULL);
    INSERT INTO dedup VALUES (1, 'slack', 100000000, NULL, 110000000, 2);
";

#[tokio::test]
async fn a_database_of_version_1_goes_on() {
    let folder = Folder::new();
    std::fs::create_dir(folder.data()).unwrap();
    let group = codec::encode_group(&Group::default()).unwrap();
    let content = |alert: &Alert| {
        let alert = codec::encode_alert(alert).unwrap();
        format!("'{}'", codec::encode(&group, [(Reason::First, &*alert)].into_iter(), 0).unwrap())
    };
    let rows = OF_VERSION_1.replace("CONTENT", &content(&firing(1, 100))).replace("BEHIND", &content(&firing(2, 100)));
    let conn = Connection::open(folder.data().join(DATABASE)).unwrap();
    conn.execute_batch(include_str!("../migrations/0001-outbox-and-dedup.sql")).unwrap();
    conn.execute_batch(&rows).unwrap();
    drop(conn);
    let reader = SqliteReader::open(&folder.data()).unwrap_err().to_string();
    assert!(reader.contains("start the service once with this version"), "{reader}");

    let store = open(&folder.data(), &cache());
    assert_eq!(store.stats().await.unwrap().receivers["slack"].dead, 1);
    assert_eq!(store.post(vec![firing(1, 100)], &["slack"], 130).await, [Reason::Duplicate], "what was told");
    let waiting = store.take("slack", 150).await;
    assert_eq!((contents(&waiting), waiting.notification.attempt), (vec![(1, Reason::First)], 4));
    assert_eq!(waiting.notification.fallback, None);
    store.done(waiting.lease, again_at(160), 150).await;
    // Its receiver gets a fallback with the new version: that is for what waits already, too.
    store.take_over(vec![listed("slack", Some("oncall")), listed("oncall", None)], at(150)).await.unwrap();
    let (at_once, later) = (overdue("slack", "oncall", None, 460), overdue("slack", "oncall", None, 459));
    assert_eq!(store.fall_back(later).await.unwrap().len(), 0, "not before it has failed for long enough");
    assert_eq!(store.fall_back(at_once).await.unwrap().len(), 2);
    let told = store.take("oncall", 460).await;
    assert_eq!(told.notification.fallback.unwrap().receiver, "slack".into());
}

#[test]
fn the_connection_is_as_durable_as_it_must_be() {
    let fixture = Fixture::new();
    let folder = fixture.folder.crashed();
    let (conn, _) = crate::store::sqlite::open::open_writer(&folder.data()).unwrap();
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("synchronous"), pragma("foreign_keys"), pragma("busy_timeout")), (2, 1, 3000));
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

#[tokio::test]
async fn what_was_refused_can_be_read_beside_the_service() {
    let fixture = Fixture::new();
    let (at, reason) = (Timestamp::UNIX_EPOCH, "not JSON".to_owned());
    let rejected = Rejected { at, what: RejectedWhat::Body, reason, content: b"hello".to_vec() };
    fixture.store.keep_rejected(vec![rejected.clone()]).await.unwrap();
    fixture.store.post(vec![firing(1, 100)], &["slack"], 110).await;
    let data = fixture.folder.data();
    let reader = SqliteReader::open(&data).unwrap();
    assert_eq!(reader.rejected(10).unwrap(), std::slice::from_ref(&rejected));
    assert_eq!(reader.stats().unwrap(), fixture.store.stats().await.unwrap());

    // And when it does not run.
    drop(reader);
    fixture.store.close().unwrap();
    assert_eq!(SqliteReader::open(&data).unwrap().rejected(10).unwrap(), [rejected]);
    let error = SqliteReader::open(&fixture.folder.0).unwrap_err().to_string();
    assert!(error.contains("alertrouter.db does not exist; is --data-dir"), "{error}");
}

#[test]
fn the_schema_refuses_states_that_cannot_be() {
    let fixture = Fixture::new();
    let conn = fixture.backdoor();
    conn.execute_batch("PRAGMA foreign_keys = ON; INSERT INTO lane (id, receiver, key) VALUES (1, 'slack', 'g')")
        .unwrap();
    let insert = |columns: &str, values: &str| {
        let sql = format!(
            "INSERT INTO delivery (lane, receiver, received_at, since, due_at, {columns}) VALUES ({values})",
            values = values.replace("ROW", "1, 'slack', 0, 0, 0")
        );
        conn.execute(&sql, []).map_err(|error| error.to_string())
    };
    insert("state, content", "ROW, 'ready', '{}'").unwrap();
    for (columns, values, expected) in [
        ("state, content", "ROW, 'ready', '{}'", "UNIQUE"),
        ("state, content", "2, 'slack', 0, 0, 0, 'queued', '{}'", "FOREIGN KEY"),
        ("state, content", "ROW, 'lost', '{}'", "CHECK"),
        ("state, content, lease_until", "ROW, 'queued', '{}', 1", "CHECK"),
        ("state, content", "ROW, 'delivered', NULL", "CHECK"),
        ("state, content, ended_at", "ROW, 'delivered', '{}', 1", "CHECK"),
        ("state, content", "ROW, 'queued', NULL", "CHECK"),
        ("state, content, ended_at", "ROW, 'dead', '{}', 1", "CHECK"),
        ("state, content", "ROW, 'held', '{}'", "CHECK"),
        ("state, content", "ROW, 'queued', 7.5", ""),
        ("state, content, fallback", "ROW, 'queued', '{}', 'odd'", "CHECK"),
        ("state, content, fallback, error, ended_at", "ROW, 'dead', '{}', 'open', '', 1", "CHECK"),
        ("state, content, failing_since", "ROW, 'queued', '{}', 1", "CHECK"),
        ("state, content, fallback_for", "ROW, 'queued', '{}', 'x'", "CHECK"),
        ("state, content, fallback_for, fallback_why", "ROW, 'queued', '{}', 'x', 'y'", ""),
    ] {
        match insert(columns, values) {
            Ok(_) => assert_eq!(expected, "", "{columns}: {values}"),
            Err(error) => assert!(error.contains(expected), "{values}: {error}"),
        }
    }
    insert("state, content, fingerprint", "ROW, 'held', '{}', 5").unwrap();
    assert!(insert("state, content, fingerprint", "ROW, 'held', '{}', 5").unwrap_err().contains("UNIQUE"));
}
