#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod rfc9807;

use super::*;

const ALICE: Realm<'static> = Realm {
    relay: "relay.example",
    username: "alice",
};
const PASSWORD: &[u8] = b"correct horse battery staple";

fn server_of(key: u8) -> Server {
    Server::from_key(&[key; 32])
}

fn registered(server: &Server) -> Registered {
    let (registration, request) = Registration::start(PASSWORD).unwrap();
    let response = server.register(ALICE, &request).unwrap();
    registration.finish(ALICE, &response).unwrap()
}

/// What the client and the server come to.
fn log_in(
    server: &Server,
    record: &[u8],
    password: &[u8],
    at_server: Realm<'_>,
    at_client: Realm<'_>,
) -> (Result<LoggedIn, LoginError>, Option<Key>) {
    let (login, ke1) = Login::start(password).unwrap();
    let (attempt, ke2) = server.log_in(at_server, record, &ke1).unwrap();
    // Another process may go on.
    let attempt = Attempt::from_bytes(&attempt.to_bytes()).unwrap();
    let logged_in = login.finish(at_client, &ke2);
    let key = match &logged_in {
        Ok(logged_in) => attempt.finish(at_server, &logged_in.finalization),
        Err(_) => None,
    };
    (logged_in, key)
}

#[test]
fn the_right_password_yields_the_same_keys_on_both_sides_and_each_time() {
    let server = server_of(1);
    let registered = registered(&server);
    assert!(Server::is_record(&registered.record));
    let server = server_of(1);
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let (client, key) = log_in(&server, &registered.record, PASSWORD, ALICE, ALICE);
        let client = client.unwrap();
        assert_eq!(*client.export_key, *registered.export_key);
        assert_eq!(*client.session_key, *key.unwrap());
        sessions.push(client.session_key);
    }
    assert_ne!(*sessions[0], *sessions[1]);
}

#[test]
fn a_wrong_password_an_unknown_user_and_another_relay_look_the_same() {
    let server = server_of(1);
    let record = registered(&server).record;
    let other = Realm {
        relay: "other.example",
        ..ALICE
    };
    let bob = Realm {
        username: "bob",
        ..ALICE
    };
    for (record, password, at_server, at_client) in [
        (record.as_slice(), b"wrong".as_slice(), ALICE, ALICE),
        (server.decoy(), PASSWORD, ALICE, ALICE),
        (&record, PASSWORD, other, ALICE),
        (&record, PASSWORD, ALICE, other),
        (&record, PASSWORD, bob, bob),
    ] {
        let (client, key) = log_in(&server, record, password, at_server, at_client);
        assert_eq!(client.err(), Some(LoginError::Refused));
        assert!(key.is_none());
    }
}

#[test]
fn answers_to_known_and_unknown_users_are_equally_long_and_steady() {
    let server = server_of(1);
    let record = registered(&server).record;
    let (_, ke1) = Login::start(PASSWORD).unwrap();
    let answer = |record: &[u8]| server.log_in(ALICE, record, &ke1).unwrap().1;
    let (known, unknown) = (answer(&record), answer(server.decoy()));
    assert_eq!(known.len(), unknown.len());
    // The OPRF's part, which a prober could compare, is a function of name and request alone.
    assert_eq!(known[..32], unknown[..32]);
    assert_eq!(unknown[..32], answer(server.decoy())[..32]);
}

#[test]
fn a_finalization_of_another_login_is_refused() {
    let server = server_of(1);
    let record = registered(&server).record;
    let (first, _) = log_in(&server, &record, PASSWORD, ALICE, ALICE);
    let (_, ke1) = Login::start(PASSWORD).unwrap();
    let (attempt, _) = server.log_in(ALICE, &record, &ke1).unwrap();
    assert!(
        attempt
            .finish(ALICE, &first.unwrap().finalization)
            .is_none()
    );
}

#[test]
fn a_relay_that_lost_its_seed_lets_nobody_in() {
    let record = registered(&server_of(1)).record;
    let (client, _) = log_in(&server_of(2), &record, PASSWORD, ALICE, ALICE);
    assert_eq!(client.err(), Some(LoginError::Refused));
}

#[test]
fn nonsense_is_refused_whatever_it_stands_for() {
    let server = server_of(1);
    let (_, ke1) = Login::start(PASSWORD).unwrap();
    for bytes in [&[][..], &[0; 32], &[0xFF; 96], &[0; 192], &[7; 320]] {
        assert!(server.register(ALICE, bytes).is_err());
        assert!(server.log_in(ALICE, server.decoy(), bytes).is_err());
        assert!(!Server::is_record(bytes));
        assert!(server.log_in(ALICE, bytes, &ke1).is_err());
        let (login, _) = Login::start(PASSWORD).unwrap();
        assert!(login.finish(ALICE, bytes).is_err());
        let (registration, _) = Registration::start(PASSWORD).unwrap();
        assert!(registration.finish(ALICE, bytes).is_err());
    }
}

#[test]
fn the_record_of_nobody_is_one_like_any_other_and_the_same_on_all_nodes() {
    let (server, again, other) = (server_of(1), server_of(1), server_of(2));
    assert!(Server::is_record(server.decoy()));
    assert_eq!(server.decoy().len(), registered(&server).record.len());
    assert_eq!(server.decoy(), again.decoy());
    assert_ne!(server.decoy(), other.decoy());
}

/// Another version of the library may draw in another order: every password would be lost without a word.
#[test]
fn the_secrets_of_a_key_are_frozen() {
    let first = server_of(7).register(ALICE, &REQUEST).unwrap();
    let hex: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "841f1d84f7a47b3e1c0bedca382e4a907080647e18ea412ea3d7ac85a5e989548072e650b8fa47c340ee74df26233db98fb60c01ac52904dff11e6e455747f78"
    );
}

/// A ristretto255 element: its generator.
const REQUEST: [u8; 32] = [
    0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f,
    0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76,
];

#[test]
fn a_confirmation_is_of_one_session_device_and_key() {
    let keys = [1, 2].map(|digit| Key::new([digit; 64]));
    let right = confirmation(&keys[0], &[3; 16], &[4; 32]);
    let hex: String = right.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "414de8ac6b41d1b04cde36916927f0230b8e590ce31b0e02251f9c14b237799d"
    );
    assert!(is_confirmed(&keys[0], &[3; 16], &[4; 32], &right));
    assert!(!is_confirmed(&keys[1], &[3; 16], &[4; 32], &right));
    assert!(!is_confirmed(&keys[0], &[5; 16], &[4; 32], &right));
    assert!(!is_confirmed(&keys[0], &[3; 16], &[5; 32], &right));
    assert!(!is_confirmed(&keys[0], &[3; 16], &[4; 32], &right[..31]));
}
