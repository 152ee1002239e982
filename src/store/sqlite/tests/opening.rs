//! Opening: errors are one line that says what to do.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::{Fixture, Folder, cache, open};
use crate::clock::Timestamp;
use crate::store::conformance::{Words, firing};
use crate::store::sqlite::open::DATABASE;
use crate::store::sqlite::{Options, SqliteReader, SqliteStore};
use crate::store::{Admin, Rejected, RejectedWhat};

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
    check(&folder, "it was written by a newer alertrouter (version 99, this one knows 1)");
    let error = SqliteReader::open(&folder.data()).unwrap_err().to_string();
    assert!(error.contains("newer alertrouter"), "{error}");
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
    ] {
        match insert(columns, values) {
            Ok(_) => assert_eq!(expected, "", "{columns}: {values}"),
            Err(error) => assert!(error.contains(expected), "{values}: {error}"),
        }
    }
    insert("state, content, fingerprint", "ROW, 'held', '{}', 5").unwrap();
    assert!(insert("state, content, fingerprint", "ROW, 'held', '{}', 5").unwrap_err().contains("UNIQUE"));
}
