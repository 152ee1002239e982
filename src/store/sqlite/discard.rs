//! Giving up on purpose.

use rusqlite::params;

use super::digest;
use super::outbox::{Row, known_after, read};
use super::tx::{Tx, bytes, time};
use crate::alert::{Fingerprint, Status};
use crate::clock::Timestamp;
use crate::dedup::fallback::Heard;
use crate::notification::{DeliveryId, Notified};
use crate::store::outbox::{Discarded, EventKind};
use crate::store::{StoreError, codec};

/// The error of what is given up before anything has failed.
const DISCARDED: &str = "discarded";

/// Gives a delivery up on purpose: it is kept, and neither counted nor ever sent. What it would have told counts as never
/// told.
pub(super) fn discard(tx: &mut Tx<'_>, id: DeliveryId, now: Timestamp) -> Result<Discarded, StoreError> {
    let Some(row) = read(tx, id.0, now)? else { return Ok(Discarded::Missing) };
    if row.state == "delivered" {
        return Ok(Discarded::Delivered);
    }
    if row.is_discarded {
        return Ok(Discarded::Already);
    }
    if row.is_leased {
        return Ok(Discarded::UnderWay);
    }
    if row.is_digest {
        return Ok(Discarded::IsDigest);
    }
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET state = 'dead', discarded_at = ?2, ended_at = coalesce(ended_at, ?2),
                 error = coalesce(error, ?3), lease_until = NULL, failing_since = NULL, token = token + 1,
                 digest = NULL, fallback = nullif(fallback, 'open') WHERE id = ?1",
        )?
        .execute(params![id.0, now.as_microsecond(), DISCARDED])?;
    if row.state != "dead" {
        tx.counts.waiting = tx.counts.waiting.saturating_sub(1);
        tx.counts.held = tx.counts.held.saturating_sub(u64::from(row.state == "held"));
        tx.never_told(id.0)?;
        if let Some(digest) = row.digest {
            let update = "UPDATE delivery SET carries = max(carries - 1, 0) WHERE id = ?1";
            tx.conn.prepare_cached(update)?.execute([digest])?;
            // If that was the last, the digest goes.
            digest::take_off(tx, digest, &[], now)?;
        }
        tx.promote(&row.receiver, row.lane)?;
    }
    let alerts = codec::decode(&row.content).map(|content| content.alerts).unwrap_or_default();
    if row.state != "dead" {
        for notified in &alerts {
            count_what_goes_before(tx, id.0, &row, notified.alert.fingerprint)?;
        }
    }
    let note = (row.state != "dead").then(|| format!("it was {}", row.state));
    tx.note(id.0, EventKind::Discarded, note.as_deref(), now)?;
    let resolved = alerts.iter().filter(|notified| notified.alert.status == Status::Resolved).count() as u64;
    Ok(Discarded::Done { resolved })
}

/// What is still to be told of an alert in front of a delivery that is given up is what counts as told from now on: it will
/// open an incident, and its end has to find the receiver.
fn count_what_goes_before(tx: &mut Tx<'_>, id: i64, row: &Row, fingerprint: Fingerprint) -> Result<(), StoreError> {
    if tx.heard(fingerprint, &row.receiver)?.is_some() {
        return Ok(());
    }
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, since, fallback_for IS NOT NULL, content FROM delivery INDEXED BY delivery_lane
         WHERE lane = ?1 AND id < ?2 AND state IN ('queued', 'ready') AND instr(content, ?3) > 0 ORDER BY id DESC",
    )?;
    let mut rows = statement.query(params![row.lane, id, fingerprint.to_string()])?;
    while let Some(before) = rows.next()? {
        let alerts = codec::decode(bytes(before.get_ref(3)?)).map(|content| content.alerts).unwrap_or_default();
        let Some(Notified { alert, .. }) = alerts.iter().rfind(|one| one.alert.fingerprint == fingerprint) else {
            continue;
        };
        let heard = Heard { known: known_after(alert, time(before.get(1)?)), own: !before.get::<_, bool>(2)? };
        return tx.remember(fingerprint, &row.receiver, &heard, Some(before.get(0)?));
    }
    Ok(())
}
