//! What the store keeps of a person of the app: if it were derived otherwise, nobody would be known again.

use super::{super::subject, ISSUER};

#[test]
fn the_hash_of_a_subject_is_frozen() {
    // Computed by another program.
    assert_eq!(
        hex::encode(subject(ISSUER, "user-17")),
        "7b4c5ba9fbb3f051557c6b4627f7d2e9d25480414c0381761df1eab40caadb2a"
    );
    assert_ne!(subject(ISSUER, "alice"), subject(ISSUER, "alic"));
    // The length of the issuer is part of it.
    assert_ne!(subject("ab", "c"), subject("a", "bc"));
}
