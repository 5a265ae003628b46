//! Tokens as an issuer makes them, and as somebody makes them who is none.

mod issuer;

use aws_lc_rs::hmac;
use model::Millis;
use serde_json::{Value, json};
use tokens::{
    Context, Expected, JwksError, Keys, Needed, TokenError, UserKind, Verb, Verifier, bearer_of,
};

use issuer::{Issuer, encode};

const JWKS: &[u8] = include_bytes!("vectors/jwks.json");
const RS384: &str = include_str!("vectors/rs384.jwt");
const ES384: &str = include_str!("vectors/es384.jwt");

/// `iat` of the vectors, seconds.
const BEGIN: u64 = 1_764_500_000;

const POST: Needed =
    Needed { context: Context::System, resource: "Observation", verb: Verb::Create };

fn at(seconds: u64) -> Millis {
    Millis::from_block_timestamp(seconds)
}

fn expected() -> Expected {
    Expected {
        issuer: "https://auth.example.org".into(),
        audience: "https://node.example.org/fhir".into(),
        skew_ms: 5_000,
        lifetime_ms_max: 3_600_000,
    }
}

fn verifier(jwks: &[u8]) -> Verifier {
    Verifier::new(Keys::from_jwks(jwks).expect("keys"), expected())
}

/// A verifier of this issuer's tokens.
fn verifier_of(issuer: &Issuer) -> Verifier {
    verifier(issuer.jwks().as_bytes())
}

/// The token of some claims, which change those of a good one; null takes one away.
fn changed(issuer: &Issuer, changes: &Value) -> String {
    let mut claims = good();
    for (name, value) in changes.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    issuer.token(&claims)
}

fn good() -> Value {
    json!({"iss": "https://auth.example.org", "aud": "https://node.example.org/fhir",
           "sub": "feed", "iat": BEGIN, "exp": BEGIN + 300, "scope": "system/Observation.c"})
}

#[test]
fn a_token_signed_by_another_implementation_says_who_asks_and_for_what() {
    let verifier = verifier(JWKS);
    for token in [RS384.trim(), ES384.trim()] {
        let bearer = verifier.check(token, at(BEGIN + 10)).expect("a good token");
        assert_eq!(bearer.subject, "monitor-feed");
        assert_eq!(bearer.token_id.as_deref(), Some("7f3a"));
        assert_eq!(bearer.expires, at(BEGIN + 300));
        assert_eq!(bearer.require(POST), Ok(()));
        let other = Needed { verb: Verb::Delete, ..POST };
        let refused = bearer.require(other).expect_err("not granted");
        assert_eq!((refused.status(), refused.code()), (403, "token-scope"));
        let answer = "Bearer error=\"insufficient_scope\", scope=\"system/Observation.d\"";
        assert_eq!(refused.www_authenticate(), answer);
    }
}

#[test]
fn a_token_with_one_character_changed_is_refused() {
    let verifier = verifier(JWKS);
    for token in [RS384.trim(), ES384.trim()] {
        for place in (0..token.len()).step_by(token.len() / 60) {
            let old = token.as_bytes()[place];
            let new = if old == b'A' { 'B' } else { 'A' };
            let mut changed = token.to_owned();
            changed.replace_range(place..=place, &new.to_string());
            assert!(verifier.check(&changed, at(BEGIN + 10)).is_err(), "place {place}");
        }
    }
}

#[test]
fn a_token_is_good_from_its_begin_to_its_end() {
    let verifier = verifier(JWKS);
    let check = |seconds| verifier.check(ES384.trim(), at(seconds)).map(|_| ());
    assert_eq!(check(BEGIN - 6), Err(TokenError::Early));
    assert_eq!(check(BEGIN - 5), Ok(()));
    assert_eq!(check(BEGIN + 304), Ok(()));
    assert_eq!(check(BEGIN + 305), Err(TokenError::Expired));
}

#[test]
fn each_claim_has_to_be_as_expected() {
    let issuer = Issuer::new();
    let verifier = verifier_of(&issuer);
    let check =
        |changes: Value| verifier.check(&changed(&issuer, &changes), at(BEGIN + 1)).map(|_| ());
    let code = |changes: Value| check(changes.clone()).expect_err(&changes.to_string()).code();
    assert_eq!(check(json!({})), Ok(()));
    assert_eq!(check(json!({"iat": null, "scope": null})), Ok(()));
    assert_eq!(check(json!({"aud": ["other", "https://node.example.org/fhir"]})), Ok(()));
    assert_eq!(code(json!({"aud": ["other"]})), "token-audience");
    assert_eq!(code(json!({"aud": "https://node.example.org/fhir/"})), "token-audience");
    assert_eq!(code(json!({"aud": null})), "token-malformed");
    assert_eq!(code(json!({"iss": "https://auth.example.org.evil"})), "token-issuer");
    assert_eq!(code(json!({"exp": null})), "token-malformed");
    assert_eq!(code(json!({"exp": -1})), "token-malformed");
    assert_eq!(code(json!({"exp": "1764500300"})), "token-malformed");
    assert_eq!(code(json!({"exp": BEGIN + 7_200})), "token-lasting");
    assert_eq!(code(json!({"exp": u64::MAX})), "token-lasting");
    assert_eq!(code(json!({"nbf": BEGIN + 60})), "token-early");
    assert_eq!(code(json!({"sub": ""})), "token-claim");
    assert_eq!(code(json!({"sub": "a".repeat(257)})), "token-claim");
    assert_eq!(code(json!({"patient": "a/b"})), "token-claim");
    assert_eq!(code(json!({"fhirUser": "Device/1"})), "token-claim");
}

#[test]
fn the_user_is_one_of_this_base_and_of_no_other() {
    let issuer = Issuer::new();
    let user = |text: &str| {
        let token = changed(&issuer, &json!({"fhirUser": text, "patient": "7"}));
        let bearer = verifier_of(&issuer).check(&token, at(BEGIN + 1));
        bearer.map(|bearer| bearer.user.map(|user| (user.kind, user.id)))
    };
    let expected = Ok(Some((UserKind::Practitioner, "dr-001".to_owned())));
    assert_eq!(user("Practitioner/dr-001"), expected);
    assert_eq!(user("https://node.example.org/fhir/Practitioner/dr-001"), expected);
    for other in ["https://evil.example.org/fhir/Practitioner/dr-001", "Practitioner/", "dr-001"] {
        assert_eq!(user(other).map_err(|error| error.code()), Err("token-claim"), "{other}");
    }
}

#[test]
fn a_header_chooses_among_keys_and_never_how_one_is_used() {
    let issuer = Issuer::new();
    let verifier = verifier_of(&issuer);
    let check = |header: Value| {
        let token = issuer.sign(&header, &good().to_string());
        verifier.check(&token, at(BEGIN + 1)).map(|_| ())
    };
    assert_eq!(check(json!({"alg": "ES384", "kid": "own"})), Ok(()));
    assert_eq!(check(json!({"alg": "ES384"})), Ok(()), "the only key of this algorithm");
    for alg in ["none", "HS256", "HS384", "ES256", "RS256", "es384", ""] {
        let header = json!({"alg": alg, "kid": "own"});
        assert_eq!(check(header), Err(TokenError::Algorithm), "{alg:?}");
    }
    assert_eq!(check(json!({"alg": "RS384", "kid": "own"})), Err(TokenError::Key));
    assert_eq!(check(json!({"alg": "ES384", "kid": "other"})), Err(TokenError::Key));
    let critical = json!({"alg": "ES384", "kid": "own", "crit": ["b64"], "b64": false});
    assert_eq!(check(critical), Err(TokenError::Critical));
    // A key in the header is whoever's.
    let stranger = Issuer::new();
    let header = json!({"alg": "ES384", "kid": "own", "jwk": stranger.jwk("own")});
    let forged = stranger.sign(&header, &good().to_string());
    assert_eq!(verifier.check(&forged, at(BEGIN + 1)).err(), Some(TokenError::Signature));
}

/// The keys are public: who takes their bytes for a secret lets everybody sign.
#[test]
fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
    let verifier = verifier(JWKS);
    let jwks: Value = serde_json::from_slice(JWKS).expect("JSON");
    let whole = [String::from_utf8_lossy(JWKS).into_owned(), jwks["keys"][0].to_string()];
    let parts = ["n", "x", "kid"].map(|name| jwks["keys"][0][name].as_str().map(str::to_owned));
    for secret in whole.into_iter().chain(parts.into_iter().flatten()) {
        for (alg, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384)] {
            let key = hmac::Key::new(algorithm, secret.as_bytes());
            // Under its own name, and under the one of a key that is taken.
            for named in [alg, "RS384"] {
                let header = json!({"alg": named, "kid": jwks["keys"][0]["kid"]}).to_string();
                let payload = good().to_string();
                let signed =
                    format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
                let tag = encode(hmac::sign(&key, signed.as_bytes()).as_ref());
                let found = verifier.check(&format!("{signed}.{tag}"), at(BEGIN + 1)).err();
                let expected = if named == alg { "token-algorithm" } else { "token-signature" };
                assert_eq!(found.map(|error| error.code()), Some(expected), "{named}");
            }
        }
    }
}

#[test]
fn a_token_without_a_signature_is_refused_whatever_it_says_of_it() {
    let verifier = verifier(JWKS);
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = json!({"alg": alg}).to_string();
        let signed =
            format!("{}.{}", encode(header.as_bytes()), encode(good().to_string().as_bytes()));
        let found = verifier.check(&format!("{signed}."), at(BEGIN + 1)).err();
        assert_eq!(found, Some(TokenError::Algorithm), "{alg}");
    }
    // All zeros were a signature of everything to a verifier that did not look (CVE-2022-21449).
    let issuer = Issuer::new();
    let signed = issuer.token(&good());
    let (signed, _) = signed.rsplit_once('.').expect("a signature");
    let found =
        verifier_of(&issuer).check(&format!("{signed}.{}", encode(&[0; 96])), at(BEGIN + 1));
    assert_eq!(found.err(), Some(TokenError::Signature));
}

/// A `kid` is a name among those of the file, and neither a path nor a question.
#[test]
fn the_name_of_a_key_and_addresses_of_keys_lead_nowhere() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let verifier = verifier_of(&issuer);
    let check = |signer: &Issuer, header: &Value| {
        verifier.check(&signer.sign(header, &good().to_string()), at(BEGIN + 1)).err()
    };
    for kid in ["", "../../../dev/null", "/etc/hostname", "own\0", "OWN", "own ", "' OR 1=1 --"] {
        let header = json!({"alg": "ES384", "kid": kid});
        assert_eq!(check(&issuer, &header), Some(TokenError::Key), "{kid:?}");
    }
    for kid in [json!(0), json!(["own"]), json!({"own": 1})] {
        let found = check(&issuer, &json!({"alg": "ES384", "kid": kid}));
        assert_eq!(found, Some(TokenError::Malformed { part: "header" }));
    }
    for (name, value) in [
        ("jku", json!("https://evil.example.org/jwks.json")),
        ("x5u", json!("https://evil.example.org/chain.pem")),
        ("x5c", json!(["MIIB"])),
        ("jwk", stranger.jwk("own")),
    ] {
        let mut header = json!({"alg": "ES384", "kid": "own"});
        header[name] = value;
        assert_eq!(check(&stranger, &header), Some(TokenError::Signature), "{name}");
    }
}

#[test]
fn of_two_keys_of_one_algorithm_the_token_has_to_name_one() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let keys = json!({"keys": [issuer.jwk("own"), other.jwk("next")]}).to_string();
    let verifier = verifier(keys.as_bytes());
    let check = |signer: &Issuer, header: Value| {
        verifier.check(&signer.sign(&header, &good().to_string()), at(BEGIN + 1)).err()
    };
    assert_eq!(check(&issuer, json!({"alg": "ES384", "kid": "own"})), None);
    assert_eq!(
        check(&other, json!({"alg": "ES384", "kid": "next"})),
        None,
        "while they are rolled"
    );
    assert_eq!(check(&issuer, json!({"alg": "ES384"})), Some(TokenError::Key));
    assert_eq!(check(&issuer, json!({"alg": "ES384", "kid": "next"})), Some(TokenError::Signature));
}

#[test]
fn keys_that_are_replaced_sign_nothing_any_more() {
    let (before, after) = (Issuer::new(), Issuer::new());
    let mut verifier = verifier_of(&before);
    let keys = Keys::from_jwks(after.jwks().as_bytes()).expect("keys");
    assert_ne!(*verifier.keys(), keys);
    verifier.replace_keys(keys);
    let check = |issuer: &Issuer| verifier.check(&issuer.token(&good()), at(BEGIN + 1)).err();
    assert_eq!(check(&after), None);
    assert_eq!(check(&before), Some(TokenError::Signature));
}

#[test]
fn an_audience_is_one_whole_text_among_the_first_ones() {
    let issuer = Issuer::new();
    let verifier = verifier_of(&issuer);
    let own = "https://node.example.org/fhir";
    let found = |aud: Value| {
        let token = changed(&issuer, &json!({ "aud": aud }));
        verifier.check(&token, at(BEGIN + 1)).err().map(|error| error.code())
    };
    for other in [
        "https://node.example.org/fhir2",
        "https://node.example.org",
        "https://NODE.example.org/fhir",
        "https://node.example.org/fhir\n",
        "https://evil.example.org/?https://node.example.org/fhir",
        "",
    ] {
        assert_eq!(found(json!(other)), Some("token-audience"), "{other:?}");
    }
    assert_eq!(found(json!([])), Some("token-audience"));
    for malformed in [json!([[own]]), json!({ "0": own }), json!(7)] {
        assert_eq!(found(malformed), Some("token-malformed"));
    }
    let among = |others: usize| {
        let mut all = vec!["other"; others];
        all.push(own);
        json!(all)
    };
    assert_eq!(found(among(15)), None);
    assert_eq!(found(among(16)), Some("token-audience"), "more are not looked at");
}

/// Also those that another machine's arithmetic would turn round.
#[test]
fn times_far_away_are_refused_and_overflow_nothing() {
    let issuer = Issuer::new();
    let verifier = verifier_of(&issuer);
    let found = |changes: Value| {
        let token = changed(&issuer, &changes);
        verifier.check(&token, at(BEGIN + 1)).err().map(|error| error.code())
    };
    // The last is of an issuer that writes milliseconds.
    for far in [u64::MAX, u64::MAX / 1000, i64::MAX as u64, 1 << 53, BEGIN * 1000] {
        assert_eq!(found(json!({ "exp": far })), Some("token-lasting"), "{far}");
        assert_eq!(found(json!({ "nbf": far })), Some("token-early"), "{far}");
        assert_eq!(found(json!({ "iat": far })), Some("token-early"), "{far}");
    }
    assert_eq!(found(json!({ "exp": 0 })), Some("token-expired"));
    for (name, value) in [
        ("exp", json!(1e300)),
        ("exp", json!(BEGIN as f64 + 300.5)),
        ("nbf", json!(-1)),
        ("iat", json!("now")),
    ] {
        assert_eq!(found(json!({ name: value })), Some("token-malformed"), "{name}");
    }
}

#[test]
fn a_scope_that_only_looks_like_the_one_that_is_needed_grants_nothing() {
    let issuer = Issuer::new();
    let verifier = verifier_of(&issuer);
    let granted = |changes: Value| {
        let bearer = verifier.check(&changed(&issuer, &changes), at(BEGIN + 1))?;
        bearer.require(POST)
    };
    assert_eq!(granted(json!({"scope": "openid  system/Observation.cruds"})), Ok(()));
    for scope in [
        "system/Observation.c?",
        "system/Observation.c?category=vital-signs",
        "patient/Observation.c user/Observation.c",
        "system/observation.c",
        "SYSTEM/Observation.c",
        "system/Observation.C",
        "system/Observation.rs",
        "system/Observation.c,system/Observation.r",
        "system/Observation.r\tsystem/Observation.c",
        "system/Observation.r\nsystem/Observation.c",
        "system/Observation.c\u{a0}",
        "system/Observati\u{43e}n.c",
        "xsystem/Observation.c",
        "system//Observation.c",
        "system/Observation.c/",
        "system/Observation.r.c",
        "system/ObservationX.c",
        "system/**.c",
        "*/*.*",
        "*",
    ] {
        assert!(granted(json!({ "scope": scope })).is_err(), "{scope:?}");
    }
    // Other names of the claim, of other issuers, are none.
    let other = json!({"scope": null, "scp": ["system/Observation.c"], "scopes": "system/*.*"});
    assert_eq!(granted(other), Err(TokenError::Scope { needed: POST }));
    let list = granted(json!({"scope": ["system/Observation.c"]}));
    assert_eq!(list, Err(TokenError::Malformed { part: "payload" }));
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    let issuer = Issuer::new();
    let payload = good().to_string().replacen('{', "{\"sub\":\"somebody\",", 1);
    let token = issuer.sign(&json!({"alg": "ES384", "kid": "own"}), &payload);
    let found = verifier_of(&issuer).check(&token, at(BEGIN + 1));
    assert_eq!(found.err(), Some(TokenError::Malformed { part: "payload" }));
}

#[test]
fn another_form_is_refused_and_long_ones_before_they_are_read() {
    let verifier = verifier(JWKS);
    let code = |token: &str| verifier.check(token, at(BEGIN)).expect_err(token).code();
    for token in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.e30", "=.=.="] {
        assert_eq!(code(token), "token-malformed", "{token:?}");
    }
    assert_eq!(code(&"a".repeat(8 * 1024 + 1)), "token-long");
    let unsigned = ES384.trim().rsplit_once('.').expect("a signature").0;
    assert_eq!(code(&format!("{unsigned}.")), "token-signature");
    assert_eq!(bearer_of("bearer  abc"), Ok("abc"));
    for header in ["", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "Bearerabc"] {
        assert_eq!(bearer_of(header), Err(TokenError::NotBearer), "{header:?}");
    }
}

#[test]
fn a_jwks_is_whole_public_and_bounded() {
    let own = Issuer::new().jwk("own");
    let read = |keys: Value| Keys::from_jwks(json!({"keys": keys}).to_string().as_bytes());
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut private = own.clone();
        private[name] = "AA".into();
        assert_eq!(read(json!([private])).err(), Some(JwksError::Private { index: 0 }), "{name}");
    }
    let secret = json!({"kty": "oct", "k": "AA"});
    assert_eq!(read(json!([own, secret])).err(), Some(JwksError::Private { index: 1 }));
    assert_eq!(read(json!([own, own])).err(), Some(JwksError::Twice { index: 1 }));
    assert_eq!(read(json!([])).err(), Some(JwksError::NoKey));
    let mut short = own.clone();
    short["x"] = "AA".into();
    assert!(matches!(read(json!([short])), Err(JwksError::Key { index: 0, .. })));
    let weak = json!({"kty": "RSA", "n": encode(&[0xff; 128]), "e": "AQAB"});
    assert!(matches!(read(json!([weak])), Err(JwksError::Key { index: 0, .. })));
    let exponent = json!({"kty": "RSA", "n": encode(&[0xff; 256]), "e": "AQ"});
    assert!(matches!(read(json!([exponent])), Err(JwksError::Key { index: 0, .. })));
    let many = vec![own.clone(); 33];
    assert_eq!(read(json!(many)).err(), Some(JwksError::Many { found: 33 }));
    assert!(matches!(Keys::from_jwks(b"{\"keys\": [}"), Err(JwksError::Malformed { line: 1 })));
    let found = Keys::from_jwks(&vec![b' '; 64 * 1024 + 1]);
    assert_eq!(found.err(), Some(JwksError::Long { found: 64 * 1024 + 1 }));
    assert_eq!(Keys::from_jwks(JWKS).expect("keys").count(), 2);
}

#[test]
fn nobody_is_named_in_what_is_logged() {
    let issuer = Issuer::new();
    let claims = json!({"fhirUser": "Practitioner/dr-001", "patient": "p-77", "sub": "feed-9"});
    let bearer = verifier_of(&issuer).check(&changed(&issuer, &claims), at(BEGIN)).expect("good");
    let shown = format!("{bearer:?} {:?}", bearer.user);
    for name in ["dr-001", "p-77", "feed-9"] {
        assert!(!shown.contains(name), "{shown}");
    }
}
