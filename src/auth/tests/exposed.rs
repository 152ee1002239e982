//! Whom a listener is in reach of.

use super::*;

fn exposure(address: &str) -> Exposure {
    let address = address.parse().unwrap();
    Exposure { address, allow_unauthenticated: false, encrypted: false, verifies_certificates: false }
}

#[test]
fn whoever_is_in_reach_of_strangers_has_to_say_who_may_post() {
    let none = Credentials::default();
    for address in ["127.0.0.1:0", "127.8.8.8:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        assert_eq!(exposure(address).check(&none), Ok(vec![]), "{address}");
        assert_eq!(exposure(address).check(&credentials()), Ok(vec![]), "{address}");
    }
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9096", "[2001:db8::1]:0", "[::ffff:192.0.2.1]:0"] {
        let error = exposure(address).check(&none).unwrap_err();
        assert!(error.contains("hint: ") && error.contains("`auth`") && error.contains("--allow-"), "{error}");
        assert_eq!(Exposure { allow_unauthenticated: true, ..exposure(address) }.check(&none), Ok(vec![]));
        assert_eq!(exposure(address).check(&credentials()), Ok(vec![Advice::InTheClear]), "{address}");
        let encrypted = Exposure { encrypted: true, ..exposure(address) };
        assert_eq!(encrypted.check(&credentials()), Ok(vec![]), "{address}");
        let required = Credentials { certificate_required: true, ..Credentials::default() };
        assert_eq!(encrypted.check(&required), Ok(vec![]), "{address}");
        let told_twice = Exposure { allow_unauthenticated: true, ..encrypted };
        assert_eq!(told_twice.check(&credentials()), Ok(vec![Advice::Enforced]), "{address}");
    }
}

#[test]
fn rules_about_certificates_that_nobody_asks_for_are_refused() {
    let rules = Credentials { client_certificates: vec![rule("a", &[Role::Ingest])], ..Credentials::default() };
    let exposure = exposure("127.0.0.1:0");
    assert!(exposure.check(&rules).unwrap_err().contains("client_ca_file"));
    assert_eq!(Exposure { verifies_certificates: true, ..exposure }.check(&rules), Ok(vec![]));
}

#[test]
fn every_advice_says_what_to_do() {
    let all = [Advice::InTheClear, Advice::Enforced].map(Advice::as_str);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 2);
}
