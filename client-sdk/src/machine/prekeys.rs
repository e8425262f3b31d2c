//! Own prekeys: made and stored before they are uploaded, replaced in time, deleted in time.

use sordino_crypto::prekeys::Owner;
use sordino_protocol::{Code, frame, http, limits, pb, signed::SignedType};

use super::sessions::expire_sessions;
use super::{Machine, registered};
use crate::error::Error;
use crate::store::{Durability, Tx};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Age at which SPK and PQLR are replaced.
const ROTATE_MS: u64 = 7 * DAY_MS;
/// How long the secret of a retired key is kept.
const KEEP_RETIRED_MS: u64 = 31 * DAY_MS;
/// How long the secret of an unclaimed one-time key is kept.
const KEEP_ONE_TIME_MS: u64 = 91 * DAY_MS;

/// Keys of a kind that are kept at most, whatever the relay says it lacks.
const KEEP_MOST: u32 = 5_000;

const KINDS: [SignedType; 4] = [
    SignedType::SignedPrekey,
    SignedType::PqLastResort,
    SignedType::OneTimePrekey,
    SignedType::PqOneTimePrekey,
];

impl Machine {
    /// What to upload, if anything. The same again until it has arrived: each upload holds a new SPK, whose id on the
    /// relay tells that it has, so that no one-time key is uploaded twice and then served twice.
    ///
    /// # Errors
    /// `NotRegistered`; those of the store.
    pub fn prekeys_due(
        &mut self,
        on_relay: &http::PrekeyCount,
        now_ms: u64,
    ) -> Result<Option<http::PutPrekeys>, Error> {
        let me = registered(self.account.as_ref())?;
        let notes = &self.notes;
        self.store.transaction(Durability::Synced, |tx| {
            expire(tx, now_ms)?;
            let waiting = put_body(tx)?;
            if let Some(put) = waiting {
                let arrived = put.signed.as_ref().map(key_id).transpose()?;
                if arrived != Some(on_relay.signed_id) {
                    return Ok(Some(put));
                }
                uploaded(tx, &put, now_ms)?;
            }
            let list = notes
                .newest_list(tx, me.user)?
                .ok_or_else(|| Error::new(Code::StoreDamaged, "the own device list"))?;
            let owner = Owner {
                list: &list,
                device: me.device,
                keys: &me.keys,
            };
            if !make_due(tx, &owner, on_relay, now_ms)? {
                return Ok(None);
            }
            put_body(tx)
        })
    }

    /// The relay has taken an upload.
    ///
    /// # Errors
    /// Those of the store.
    pub fn prekeys_uploaded(&mut self, put: &http::PutPrekeys, now_ms: u64) -> Result<(), Error> {
        self.store
            .transaction(Durability::Relaxed, |tx| uploaded(tx, put, now_ms))
    }
}

/// Makes what is missing; whether anything was.
fn make_due(
    tx: &Tx<'_>,
    owner: &Owner<'_>,
    on_relay: &http::PrekeyCount,
    now_ms: u64,
) -> Result<bool, Error> {
    let replace = tx.replaces_prekeys()?;
    let due = |kind, id_on_relay| -> Result<bool, Error> {
        let current = tx.current_prekeys(kind, true)?;
        Ok(replace
            || current.last().is_none_or(|key| {
                key.id != id_on_relay || now_ms.saturating_sub(key.created_ms) >= ROTATE_MS
            }))
    };
    let spk_due = due(SignedType::SignedPrekey, on_relay.signed_id)?;
    let pqlr_due = due(SignedType::PqLastResort, on_relay.pq_last_resort_id)?;
    let short = |left: u32, full: usize| {
        let left = if replace {
            0
        } else {
            usize::try_from(left).unwrap_or(full)
        };
        if left < full / 2 { full - left } else { 0 }
    };
    let one_time = short(on_relay.one_time, limits::ONE_TIME_PREKEYS);
    let pq_one_time = short(on_relay.pq_one_time, limits::PQ_ONE_TIME_PREKEYS);
    if !spk_due && !pqlr_due && one_time == 0 && pq_one_time == 0 {
        return Ok(false);
    }
    let mut rng = rand::rng();
    let put = |kind, secret: &[u8], id, public: &pb::Signed| {
        tx.put_prekey(kind, id, secret, public, now_ms)
    };
    let id = tx.take_prekey_id()?;
    let key = owner.signed_prekey(&mut rng, id, now_ms);
    put(
        SignedType::SignedPrekey,
        key.secret.expose(),
        id,
        &key.public,
    )?;
    if pqlr_due {
        let id = tx.take_prekey_id()?;
        let key = owner.pq_last_resort(&mut rng, id, now_ms);
        put(
            SignedType::PqLastResort,
            key.secret.expose(),
            id,
            &key.public,
        )?;
    }
    for _ in 0..one_time {
        let id = tx.take_prekey_id()?;
        let key = owner.one_time(&mut rng, id, now_ms);
        put(
            SignedType::OneTimePrekey,
            key.secret.expose(),
            id,
            &key.public,
        )?;
    }
    for _ in 0..pq_one_time {
        let id = tx.take_prekey_id()?;
        let key = owner.pq_one_time(&mut rng, id, now_ms);
        put(
            SignedType::PqOneTimePrekey,
            key.secret.expose(),
            id,
            &key.public,
        )?;
    }
    Ok(true)
}

/// The keys that are not uploaded yet, as they are uploaded.
fn put_body(tx: &Tx<'_>) -> Result<Option<http::PutPrekeys>, Error> {
    let keys = |kind| -> Result<Vec<http::Signed>, Error> {
        let found = tx.current_prekeys(kind, false)?;
        Ok(found.into_iter().map(|key| key.public.into()).collect())
    };
    let put = http::PutPrekeys {
        signed: keys(SignedType::SignedPrekey)?.pop(),
        pq_last_resort: keys(SignedType::PqLastResort)?.pop(),
        one_time: keys(SignedType::OneTimePrekey)?,
        pq_one_time: keys(SignedType::PqOneTimePrekey)?,
        replace: tx.replaces_prekeys()?,
    };
    Ok(put.signed.is_some().then_some(put))
}

fn uploaded(tx: &Tx<'_>, put: &http::PutPrekeys, now_ms: u64) -> Result<(), Error> {
    let [spk, pqlr, opk, pqopk] = KINDS;
    if let Some(key) = &put.signed {
        let id = key_id(key)?;
        tx.set_prekey_uploaded(spk, id)?;
        tx.retire_prekeys_before(spk, id, now_ms)?;
    }
    if let Some(key) = &put.pq_last_resort {
        let id = key_id(key)?;
        tx.set_prekey_uploaded(pqlr, id)?;
        tx.retire_prekeys_before(pqlr, id, now_ms)?;
    }
    for (kind, keys) in [(opk, &put.one_time), (pqopk, &put.pq_one_time)] {
        for key in keys {
            tx.set_prekey_uploaded(kind, key_id(key)?)?;
        }
    }
    if put.replace {
        tx.set_replaces_prekeys(false)?;
    }
    Ok(())
}

fn key_id(key: &http::Signed) -> Result<u32, Error> {
    let body: pb::PrekeyBody = frame::decode(key.body.0.clone(), &frame::PREKEY)
        .map_err(|_| Error::new(Code::Internal, "an own prekey does not decode"))?;
    Ok(body.key_id)
}

/// Deletes what has had its time.
fn expire(tx: &Tx<'_>, now_ms: u64) -> Result<(), Error> {
    tx.expire_prekeys(
        now_ms.saturating_sub(KEEP_RETIRED_MS),
        now_ms.saturating_sub(KEEP_ONE_TIME_MS),
    )?;
    for kind in KINDS {
        tx.keep_newest_prekeys(kind, KEEP_MOST)?;
    }
    expire_sessions(tx, now_ms)
}
