//! Keys over a real directory.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_first_start_makes_one_admin_and_one_signing_key() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = KeyStore::open(dir.path()).unwrap();
    let first = first.unwrap();
    assert!(KeyStore::open(dir.path()).unwrap().1.is_none());
    let ring = store.ring().unwrap();
    assert_eq!(ring.authenticate(&first.admin.secret).unwrap().right, BearerRight::Admin);
    assert_eq!(ring.signer(&first.signing.id).unwrap().rights, KeyRights::ALL);
    assert_eq!(store.minting_key().unwrap().unwrap().0.id(), first.signing.id);
}

#[test]
fn bearer_secrets_are_hashed_and_compared_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = KeyStore::open(dir.path()).unwrap();
    let edge = store.create("shop", Right::Edge { ip_optional: true }).unwrap();
    let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(!text.contains(edge.secret.split_once('.').unwrap().1));
    let ring = store.ring().unwrap();
    let found = ring.authenticate(&edge.secret).unwrap();
    assert_eq!((&*found.issuer, found.right), ("shop", BearerRight::Edge { ip_optional: true }));
    let cut = &edge.secret[..edge.secret.len() - 1];
    for wrong in ["", ".", "e3", "e3.", cut, &format!("{}A", edge.secret), "k2.x"] {
        assert!(ring.authenticate(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn revoked_keys_are_out_of_force_but_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first) = KeyStore::open(dir.path()).unwrap();
    let id = first.unwrap().signing.id;
    store.revoke(&id).unwrap();
    assert!(store.ring().unwrap().signer(&id).is_none());
    assert!(store.list().unwrap().iter().any(|key| key.id == id && key.revoked_at.is_some()));
    assert!(matches!(store.revoke(&id), Err(KeyError::AlreadyRevoked(_))));
    assert!(matches!(store.revoke("k99"), Err(KeyError::Unknown(_))));
    assert!(store.minting_key().unwrap().is_none());
}

#[test]
fn the_file_is_private_and_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = KeyStore::open(dir.path()).unwrap();
    let path = dir.path().join(FILE);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(store.ring(), Err(KeyError::Permissions { .. })));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(store.ring(), Err(KeyError::Malformed { .. })));
    assert!(matches!(store.create("a\nb", Right::Admin), Err(KeyError::BadIssuer(_))));
}
