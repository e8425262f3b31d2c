//! Appendix C of RFC 9807, all vectors over ristretto255 for OPRF and key exchange: our suite but for the key stretching, which there
//! is the identity. The library draws every random value from the generator that it is given, in a fixed order.

use std::collections::HashMap;

use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, ClientRegistration,
    ClientRegistrationFinishParameters, CredentialRequest, CredentialResponse, Identifiers,
    RegistrationRequest, RegistrationResponse, Ristretto255, ServerLogin, ServerLoginParameters,
    ServerRegistration, ServerSetup, TripleDh, ksf::Identity,
};
use rand_core_of_opaque::{CryptoRng, Error, RngCore, impls};

struct Plain;

impl CipherSuite for Plain {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2_of_opaque::Sha512>;
    type Ksf = Identity;
}

/// One vector: hex by name.
struct Vector(HashMap<String, String>);

impl Vector {
    fn all(appendix: &str) -> Vec<Self> {
        let all: Vec<HashMap<String, String>> =
            serde_json::from_str(include_str!("rfc9807.json")).unwrap();
        let wanted = all.into_iter().filter(|v| v["name"].starts_with(appendix));
        wanted.map(Self).collect()
    }

    fn may(&self, name: &str) -> Option<Vec<u8>> {
        self.0.get(name).map(|text| hex::decode(text).unwrap())
    }

    fn get(&self, name: &str) -> Vec<u8> {
        self.may(name).unwrap()
    }

    /// As the library keeps them: seed, private key, and the public key of users who do not exist.
    fn server(&self) -> ServerSetup<Plain> {
        let bytes = self.join(&["oprf_seed", "server_private_key", "client_public_key"]);
        ServerSetup::deserialize(&bytes).unwrap()
    }

    fn join(&self, names: &[&str]) -> Vec<u8> {
        names.iter().flat_map(|name| self.get(name)).collect()
    }

    /// A scalar is drawn as 64 bytes, little-endian, modulo the order.
    fn blind(&self, name: &str) -> Vec<u8> {
        [self.get(name), vec![0; 32]].concat()
    }
}

/// Gives these bytes, all of them, and no others.
struct Given(Vec<u8>);

impl RngCore for Given {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        let given: Vec<_> = self.0.drain(..dest.len()).collect();
        dest.copy_from_slice(&given);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Given {}

impl Drop for Given {
    fn drop(&mut self) {
        assert!(self.0.is_empty(), "{} bytes were not drawn", self.0.len());
    }
}

#[test]
fn registration_and_login_make_the_bytes_of_the_rfc() {
    let vectors = Vector::all("C.1");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let server = vector.server();
        let (client_identity, server_identity) =
            (vector.may("client_identity"), vector.may("server_identity"));
        let identifiers = Identifiers {
            client: client_identity.as_deref(),
            server: server_identity.as_deref(),
        };
        let (password, name) = (vector.get("password"), vector.get("credential_identifier"));
        let context = vector.get("context");

        let mut rng = Given(vector.blind("blind_registration"));
        let started = ClientRegistration::<Plain>::start(&mut rng, &password).unwrap();
        let request = started.message.serialize().to_vec();
        assert_eq!(request, vector.get("registration_request"));
        let request = RegistrationRequest::deserialize(&request).unwrap();
        let answered = ServerRegistration::start(&server, request, &name).unwrap();
        let response = answered.message.serialize().to_vec();
        assert_eq!(response, vector.get("registration_response"));
        let mut rng = Given(vector.get("envelope_nonce"));
        let parameters = ClientRegistrationFinishParameters::new(identifiers, None);
        let response = RegistrationResponse::deserialize(&response).unwrap();
        let finished = started
            .state
            .finish(&mut rng, &password, response, parameters)
            .unwrap();
        let record = finished.message.serialize().to_vec();
        assert_eq!(record, vector.get("registration_upload"));
        assert_eq!(finished.export_key.to_vec(), vector.get("export_key"));

        let drawn = [
            vector.blind("blind_login"),
            vector.join(&["client_keyshare_seed", "client_nonce"]),
        ];
        let mut rng = Given(drawn.concat());
        let started = ClientLogin::<Plain>::start(&mut rng, &password).unwrap();
        let ke1 = started.message.serialize().to_vec();
        assert_eq!(ke1, vector.get("ke1"));
        // What stands in for a record is drawn whether it is needed or not.
        let drawn = vector.join(&["masking_nonce", "server_keyshare_seed", "server_nonce"]);
        let mut rng = Given([vec![0; 64], drawn].concat());
        let server_parameters = || ServerLoginParameters {
            context: Some(&context),
            identifiers,
        };
        let answered = ServerLogin::start(
            &mut rng,
            &server,
            Some(ServerRegistration::deserialize(&record).unwrap()),
            CredentialRequest::deserialize(&ke1).unwrap(),
            &name,
            server_parameters(),
        )
        .unwrap();
        let ke2 = answered.message.serialize().to_vec();
        assert_eq!(ke2, vector.get("ke2"));
        let mut none = Given(Vec::new());
        let parameters = ClientLoginFinishParameters::new(Some(&context), identifiers, None);
        let response = CredentialResponse::deserialize(&ke2).unwrap();
        let finished = started
            .state
            .finish(&mut none, &password, response, parameters)
            .unwrap();
        assert_eq!(finished.message.serialize().to_vec(), vector.get("ke3"));
        assert_eq!(finished.export_key.to_vec(), vector.get("export_key"));
        assert_eq!(finished.session_key.to_vec(), vector.get("session_key"));
        let logged_in = answered
            .state
            .finish(finished.message, server_parameters())
            .unwrap();
        assert_eq!(logged_in.session_key.to_vec(), vector.get("session_key"));
    }
}

#[test]
fn a_user_who_does_not_exist_is_answered_with_the_bytes_of_the_rfc() {
    let vectors = Vector::all("C.2");
    assert_eq!(vectors.len(), 1);
    for vector in vectors {
        let (client, server) = (vector.get("client_identity"), vector.get("server_identity"));
        let drawn = [
            "masking_key",
            "masking_nonce",
            "server_keyshare_seed",
            "server_nonce",
        ];
        let context = vector.get("context");
        let answered = ServerLogin::start(
            &mut Given(vector.join(&drawn)),
            &vector.server(),
            None,
            CredentialRequest::deserialize(&vector.get("ke1")).unwrap(),
            &vector.get("credential_identifier"),
            ServerLoginParameters {
                context: Some(&context),
                identifiers: Identifiers {
                    client: Some(&client),
                    server: Some(&server),
                },
            },
        );
        let ke2 = answered.unwrap().message.serialize().to_vec();
        assert_eq!(ke2, vector.get("ke2"));
    }
}
