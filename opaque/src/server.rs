//! The relay's side.

use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload,
    Ristretto255, ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup,
    key_exchange::group::Group,
};
use rand_core_of_opaque::{OsRng, RngCore};
use zeroize::Zeroizing;

use crate::{
    Key, Malformed, Realm,
    derived::Derived,
    noted,
    suite::{Suite, key},
};

/// Bytes of the key in a record that masks the rest of an answer, and of its envelope.
const MASKING_KEY: usize = 64;
const ENVELOPE: usize = 96;

/// The relay's secrets: the seed of every user's OPRF key, and its own key. Who loses them ends every login by password.
pub struct Server {
    setup: ServerSetup<Suite>,
    decoy: Zeroizing<Vec<u8>>,
}

/// A login that waits for its last message.
pub struct Attempt(ServerLogin<Suite>);

impl Server {
    /// All of them follow from one random key, the same whenever it is asked: what an operator keeps is 32 bytes.
    pub fn from_key(key: &[u8; 32]) -> Self {
        let mut derived = Derived::new(key);
        let setup = ServerSetup::new(&mut derived);
        // Last: what is drawn before it is what records hang on.
        let decoy = decoy(&mut derived);
        Self { setup, decoy }
    }

    /// The record of nobody (RFC 9807, 6.3.2.2), for whoever has none: public key and masking key are drawn, the envelope is zeros, which
    /// no password opens. The same at every start and on all nodes, so that what one of them begins another judges alike.
    pub fn decoy(&self) -> &[u8] {
        &self.decoy
    }

    /// Answers the first message of a registration, or of a change of password.
    ///
    /// # Errors
    /// It is none.
    pub fn register(&self, realm: Realm<'_>, request: &[u8]) -> Result<Vec<u8>, Malformed> {
        let request = RegistrationRequest::deserialize(request).map_err(|_| Malformed)?;
        let started = ServerRegistration::start(&self.setup, request, realm.username.as_bytes());
        let started = started.map_err(|_| Malformed)?;
        Ok(started.message.serialize().to_vec())
    }

    /// Whether these bytes are a record that may be kept.
    pub fn is_record(record: &[u8]) -> bool {
        noted::step("is_record");
        RegistrationUpload::<Suite>::deserialize(record).is_ok()
    }

    /// Answers the first message of a login (KE1). For a user who does not exist or has no record, give it [`Self::decoy`]: it does the same
    /// and answers alike. The library's own stand-in is not used, for it takes less work to begin with than a record that is read.
    ///
    /// # Errors
    /// The message is none, or the record is.
    pub fn log_in(
        &self,
        realm: Realm<'_>,
        record: &[u8],
        request: &[u8],
    ) -> Result<(Attempt, Vec<u8>), Malformed> {
        // OPRF and key exchange.
        noted::step("log_in");
        let request = CredentialRequest::deserialize(request).map_err(|_| Malformed)?;
        let record = ServerRegistration::<Suite>::deserialize(record).map_err(|_| Malformed)?;
        let context = realm.context();
        let parameters = ServerLoginParameters {
            context: Some(&context),
            identifiers: realm.identifiers(),
        };
        let started = ServerLogin::start(
            &mut OsRng,
            &self.setup,
            Some(record),
            request,
            realm.username.as_bytes(),
            parameters,
        );
        let started = started.map_err(|_| Malformed)?;
        Ok((Attempt(started.state), started.message.serialize().to_vec()))
    }
}

impl Attempt {
    /// To be kept until the last message comes, as a secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.serialize().to_vec().into()
    }

    /// As it was kept.
    ///
    /// # Errors
    /// It is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        ServerLogin::deserialize(bytes)
            .map(Self)
            .map_err(|_| Malformed)
    }

    /// Takes the last message (KE3). The key is shared with who knew the password; `None`: they did not.
    pub fn finish(self, realm: Realm<'_>, finalization: &[u8]) -> Option<Key> {
        // The MAC.
        noted::step("finish");
        let finalization = CredentialFinalization::deserialize(finalization).ok()?;
        let context = realm.context();
        let parameters = ServerLoginParameters {
            context: Some(&context),
            identifiers: realm.identifiers(),
        };
        let finished = self.0.finish(finalization, parameters).ok()?;
        Some(key(&finished.session_key))
    }
}

fn decoy(derived: &mut Derived) -> Zeroizing<Vec<u8>> {
    let key = Ristretto255::random_sk(derived);
    let mut masking_key = Zeroizing::new([0; MASKING_KEY]);
    derived.fill_bytes(masking_key.as_mut_slice());
    let key = Ristretto255::serialize_pk(&Ristretto255::public_key(&key));
    [key.as_slice(), masking_key.as_slice(), &[0; ENVELOPE]]
        .concat()
        .into()
}
