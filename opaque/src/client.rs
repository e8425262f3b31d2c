//! The side that knows the password.

use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration,
    ClientRegistrationFinishParameters, CredentialResponse, RegistrationResponse,
    errors::ProtocolError,
};
use rand_core_of_opaque::OsRng;
use zeroize::Zeroizing;

use crate::{
    Key, Malformed, Realm,
    suite::{Stretch, Suite, key},
};

/// A password on its way to a relay that does not know it yet.
pub struct Registration {
    state: ClientRegistration<Suite>,
    password: Zeroizing<Vec<u8>>,
}

/// What becomes of it.
pub struct Registered {
    /// For the relay to keep, as secret as a password's hash.
    pub record: Zeroizing<Vec<u8>>,
    /// What this password alone yields.
    pub export_key: Key,
}

/// A login under way.
pub struct Login {
    state: ClientLogin<Suite>,
    password: Zeroizing<Vec<u8>>,
}

/// A login that the password was right for; the relay was the one of the registration.
pub struct LoggedIn {
    /// The last message: the relay now sees the same.
    pub finalization: Vec<u8>,
    /// What this password alone yields: the same as at the registration.
    pub export_key: Key,
    /// What both sides now share.
    pub session_key: Key,
}

/// Why it does not come to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The password is wrong, or there is no such user, or the relay is another one: nobody can tell which.
    #[error("user name or password is wrong")]
    Refused,
    /// The relay's answer is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Registration {
    /// Begins; the bytes are for the relay.
    ///
    /// # Errors
    /// The password cannot be mapped, which happens to none in practice.
    pub fn start(password: &[u8]) -> Result<(Self, Vec<u8>), Malformed> {
        let started = ClientRegistration::start(&mut OsRng, password).map_err(|_| Malformed)?;
        let registration = Self {
            state: started.state,
            password: password.to_vec().into(),
        };
        Ok((registration, started.message.serialize().to_vec()))
    }

    /// Takes the relay's answer. Argon2id runs here: off the threads that serve others.
    ///
    /// # Errors
    /// The answer is none.
    pub fn finish(self, realm: Realm<'_>, response: &[u8]) -> Result<Registered, Malformed> {
        let response = RegistrationResponse::deserialize(response).map_err(|_| Malformed)?;
        let parameters =
            ClientRegistrationFinishParameters::new(realm.identifiers(), Some(&Stretch));
        let finished = self
            .state
            .finish(&mut OsRng, &self.password, response, parameters)
            .map_err(|_| Malformed)?;
        Ok(Registered {
            record: finished.message.serialize().to_vec().into(),
            export_key: key(&finished.export_key),
        })
    }
}

impl Login {
    /// Begins; the bytes (KE1) are for the relay.
    ///
    /// # Errors
    /// The password cannot be mapped, which happens to none in practice.
    pub fn start(password: &[u8]) -> Result<(Self, Vec<u8>), Malformed> {
        let started = ClientLogin::start(&mut OsRng, password).map_err(|_| Malformed)?;
        let login = Self {
            state: started.state,
            password: password.to_vec().into(),
        };
        Ok((login, started.message.serialize().to_vec()))
    }

    /// Takes the relay's answer (KE2). Argon2id runs here: off the threads that serve others.
    ///
    /// # Errors
    /// A wrong password, or an answer that is none.
    pub fn finish(self, realm: Realm<'_>, response: &[u8]) -> Result<LoggedIn, LoginError> {
        let response = CredentialResponse::deserialize(response).map_err(|_| Malformed)?;
        let context = realm.context();
        let parameters =
            ClientLoginFinishParameters::new(Some(&context), realm.identifiers(), Some(&Stretch));
        let finished = self
            .state
            .finish(&mut OsRng, &self.password, response, parameters)
            .map_err(|error| match error {
                ProtocolError::InvalidLoginError => LoginError::Refused,
                _ => Malformed.into(),
            })?;
        Ok(LoggedIn {
            finalization: finished.message.serialize().to_vec(),
            export_key: key(&finished.export_key),
            session_key: key(&finished.session_key),
        })
    }
}
