//! The relay's side.

use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload,
    ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup,
};
use rand_core_of_opaque::OsRng;
use zeroize::Zeroizing;

use crate::{
    Key, Malformed, Realm,
    derived::Derived,
    suite::{Suite, key},
};

/// The relay's secrets: the seed of every user's OPRF key, and its own key. Who loses them ends every login by password.
pub struct Server(ServerSetup<Suite>);

/// A login that waits for its last message.
pub struct Attempt(ServerLogin<Suite>);

impl Server {
    /// All of them follow from one random key, the same whenever it is asked: what an operator keeps is 32 bytes.
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self(ServerSetup::new(&mut Derived::new(key)))
    }

    /// Answers the first message of a registration, or of a change of password.
    ///
    /// # Errors
    /// It is none.
    pub fn register(&self, realm: Realm<'_>, request: &[u8]) -> Result<Vec<u8>, Malformed> {
        let request = RegistrationRequest::deserialize(request).map_err(|_| Malformed)?;
        let started = ServerRegistration::start(&self.0, request, realm.username.as_bytes());
        let started = started.map_err(|_| Malformed)?;
        Ok(started.message.serialize().to_vec())
    }

    /// Whether these bytes are a record that may be kept.
    pub fn is_record(record: &[u8]) -> bool {
        RegistrationUpload::<Suite>::deserialize(record).is_ok()
    }

    /// Answers the first message of a login (KE1). Without a record, that is for a user who does not exist, it answers as if
    /// there were one: the same bytes in length, and the same for the same name whenever it is asked.
    ///
    /// # Errors
    /// The message is none, or the record is damaged.
    pub fn log_in(
        &self,
        realm: Realm<'_>,
        record: Option<&[u8]>,
        request: &[u8],
    ) -> Result<(Attempt, Vec<u8>), Malformed> {
        let request = CredentialRequest::deserialize(request).map_err(|_| Malformed)?;
        let record = record.map(ServerRegistration::<Suite>::deserialize);
        let record = record.transpose().map_err(|_| Malformed)?;
        let context = realm.context();
        let parameters = ServerLoginParameters {
            context: Some(&context),
            identifiers: realm.identifiers(),
        };
        let started = ServerLogin::start(
            &mut OsRng,
            &self.0,
            record,
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
