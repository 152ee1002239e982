//! Passwords and their hashes.

use super::*;

#[test]
fn a_password_is_good_if_its_hash_says_so() {
    let access = access(credentials());
    for (at, (password, _)) in HASHES.iter().enumerate() {
        let header = basic(&format!("user{at}:{password}"));
        // The second time by memory.
        for _ in 0..2 {
            assert_eq!(ask(&access, &[&header], Role::Ingest), "granted", "{password}");
            assert_eq!(ask(&access, &[&header], Role::Admin), "role", "{password}");
        }
        let wrong = basic(&format!("user{at}:{password}?"));
        // bcrypt looks at 72 bytes.
        let expected = if password.len() > 72 { "granted" } else { "wrong" };
        assert_eq!([(); 2].map(|()| ask(&access, &[&wrong], Role::Ingest)), [expected; 2], "{password}");
        assert_eq!(ask(&access, &[&basic(&format!("user9:{password}"))], Role::Ingest), "wrong");
        assert_eq!(ask(&access, &[&basic(&format!("USER{at}:{password}"))], Role::Ingest), "wrong");
    }
    // What bcrypt by itself takes for the same as the empty password.
    assert_eq!(ask(&access, &[&basic("user1:\0")], Role::Ingest), "wrong");
}

#[test]
fn a_hash_that_is_none_fits_nothing() {
    for hash in ["", "s3cr3tmarker", "$2y$04$short"] {
        let access = access(Credentials { basic_users: vec![user("a", hash, &Role::ALL)], ..Credentials::default() });
        assert!(!access.is_open());
        for password in ["", hash] {
            assert_eq!(ask(&access, &[&basic(&format!("a:{password}"))], Role::Ingest), "wrong", "{hash}");
        }
    }
    // A token that was not looked up.
    let access = access(Credentials { bearer_tokens: vec![token("", &Role::ALL)], ..Credentials::default() });
    for header in ["Bearer", "Bearer ", "Bearer  \t "] {
        assert_eq!(ask(&access, &[header.as_bytes()], Role::Ingest), "wrong", "{header}");
    }
    assert_eq!(ask(&access, &[], Role::Ingest), "missing");
}

#[test]
fn a_password_is_worked_out_once_right_or_wrong() {
    let access = access(credentials());
    for (header, expected) in [(basic("user0:s3cr3tmarker"), "granted"), (basic("nobody:x"), "wrong")] {
        let look = || access.check(Presented::read([&*header].into_iter()), None, Role::Ingest);
        let [Decision::Unsure(first), Decision::Unsure(second)] = [look(), look()] else { panic!("known already") };
        assert!(second.known().is_none());
        assert_eq!(settle(first.decide()), expected);
        // Who has waited beside it need not compute it again.
        assert_eq!(second.known().map(settle), Some(expected));
        assert!(!matches!(look(), Decision::Unsure(_)), "it is forgotten");
    }
    let again = self::access(credentials());
    let header = basic("user0:s3cr3tmarker");
    let look = again.check(Presented::read([&*header].into_iter()), None, Role::Ingest);
    assert!(matches!(look, Decision::Unsure(_)), "a new configuration knows nothing of the old one");
}

#[test]
fn wrong_passwords_push_out_no_right_one_and_are_bounded() {
    let access = access(Credentials {
        basic_users: vec![user("user0", HASHES[0].1, &[Role::Ingest])],
        ..Credentials::default()
    });
    let right = basic("user0:s3cr3tmarker");
    assert_eq!(ask(&access, &[&right], Role::Ingest), "granted");
    let memory = memory::Memory::default();
    memory.keep([1; 32], memory::Verdict::Fits(0));
    for number in 0..10_000_u64 {
        let mut tag = [0; 32];
        tag[..8].copy_from_slice(&number.to_le_bytes());
        memory.keep(tag, memory::Verdict::Wrong);
    }
    assert_eq!(memory.recall(&[1; 32]), Some(memory::Verdict::Fits(0)));
    let recalled = (0..10_000_u64).filter(|number| {
        let mut tag = [0; 32];
        tag[..8].copy_from_slice(&number.to_le_bytes());
        memory.recall(&tag).is_some()
    });
    assert_eq!(recalled.count(), 1024);
}

#[test]
fn hashes_are_told_from_what_is_none() {
    let parse = |text: &str| PasswordHash::parse(text).map(|hash| hash.cost());
    assert_eq!(parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), Ok(5));
    assert_eq!(parse(&HASHES[0].1.replace("$2y$04", "$2b$31")), Ok(31));
    for cost in ["03", "32", "99", "00"] {
        assert_eq!(parse(&HASHES[0].1.replace("$04", &format!("${cost}"))), Err(NoHash::Cost));
    }
    for (text, expected) in [
        ("", NoHash::Plain),
        ("s3cr3tmarker", NoHash::Plain),
        ("$1$salt$hash", NoHash::OtherHash),
        ("$apr1$salt$hash", NoHash::OtherHash),
        ("$argon2id$v=19$", NoHash::OtherHash),
        ("{SHA}xyz", NoHash::OtherHash),
        ("name:$2y$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi", NoHash::WithName),
        ("$2x$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi", NoHash::OtherHash),
        ("$2y$04$", NoHash::Damaged),
        ("$2y$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxL", NoHash::Damaged),
        ("$2y$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi\n", NoHash::Damaged),
        ("$2y$4$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLix", NoHash::Damaged),
        ("$2y$04$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUs!Li", NoHash::Damaged),
        ("$2y$+4$abcdefghijklmnopqrstuuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi", NoHash::Damaged),
        ("$2y$04$äbcdefghijklmnopqrstuuR2vxM6HznUZaYTL1b5OQ2z8arUsxLi", NoHash::Damaged),
    ] {
        assert_eq!(parse(text), Err(expected), "{text}");
    }
}
