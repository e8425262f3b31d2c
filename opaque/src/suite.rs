//! The suite, and how passwords are stretched.

use argon2::{Algorithm, Argon2, Params, Version};
use generic_array::{ArrayLength, GenericArray};
use opaque_ke::{
    CipherSuite, Identifiers, Ristretto255, TripleDh, errors::InternalError, ksf::Ksf,
};

use crate::{Key, Realm};

/// In KiB.
const MEMORY: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// RFC 9807 asks for no salt of its own: the input is the output of the OPRF, which is of this user alone.
const SALT: [u8; 16] = [0; 16];

pub(crate) struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2_of_opaque::Sha512>;
    type Ksf = Stretch;
}

/// Argon2id.
#[derive(Default)]
pub(crate) struct Stretch;

impl Ksf for Stretch {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        let mut output = GenericArray::default();
        let params = Params::new(MEMORY, PASSES, LANES, Some(output.len()));
        let params = params.map_err(|_| InternalError::KsfError)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&input, &SALT, &mut output)
            .map_err(|_| InternalError::KsfError)?;
        Ok(output)
    }
}

impl Realm<'_> {
    /// The context of RFC 9807: lbl("opaque") ‖ relay.
    pub(crate) fn context(&self) -> Vec<u8> {
        [b"sordino/1/opaque".as_slice(), self.relay.as_bytes()].concat()
    }

    pub(crate) fn identifiers(&self) -> Identifiers<'_> {
        Identifiers {
            client: Some(self.username.as_bytes()),
            server: Some(self.relay.as_bytes()),
        }
    }
}

pub(crate) fn key<L: ArrayLength<u8>>(bytes: &GenericArray<u8, L>) -> Key {
    let mut key = Key::new([0; 64]);
    // SHA-512's length.
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    key
}
