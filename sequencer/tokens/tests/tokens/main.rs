//! Tokens as an issuer makes them, and as somebody makes them who is none.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use model::Millis;
use serde_json::{Value, json};
use tokens::{
    Context, Expected, JwksError, Keys, Needed, TokenError, UserKind, Verb, Verifier, bearer_of,
};

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

/// An issuer with a key of its own.
struct Issuer {
    key: EcdsaKeyPair,
}

impl Issuer {
    fn new() -> Issuer {
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        Issuer { key }
    }

    fn jwk(&self, id: &str) -> Value {
        let point = self.key.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-384", "kid": id,
               "x": encode(&point[1..49]), "y": encode(&point[49..])})
    }

    fn verifier(&self) -> Verifier {
        verifier(json!({"keys": [self.jwk("own")]}).to_string().as_bytes())
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.as_bytes()));
        let random = SystemRandom::new();
        let signature = self.key.sign(&random, signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    /// The token of some claims, which change those of a good one; null takes one away.
    fn token(&self, changes: &Value) -> String {
        let mut claims = good();
        for (name, value) in changes.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let claims = claims.as_object_mut().expect("claims");
        claims.retain(|_, value| !value.is_null());
        let header = json!({"alg": "ES384", "kid": "own"});
        self.sign(&header, &Value::Object(claims.clone()).to_string())
    }
}

fn good() -> Value {
    json!({"iss": "https://auth.example.org", "aud": "https://node.example.org/fhir",
           "sub": "feed", "iat": BEGIN, "exp": BEGIN + 300, "scope": "system/Observation.c"})
}

fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(ALPHABET[(word >> (18 - 6 * place) & 63) as usize].into());
        }
    }
    text
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
    let verifier = issuer.verifier();
    let check = |changes: Value| verifier.check(&issuer.token(&changes), at(BEGIN + 1)).map(|_| ());
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
        let token = issuer.token(&json!({"fhirUser": text, "patient": "7"}));
        let bearer = issuer.verifier().check(&token, at(BEGIN + 1));
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
    let verifier = issuer.verifier();
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

#[test]
fn a_member_that_stands_twice_is_refused() {
    let issuer = Issuer::new();
    let payload = good().to_string().replacen('{', "{\"sub\":\"somebody\",", 1);
    let token = issuer.sign(&json!({"alg": "ES384", "kid": "own"}), &payload);
    let found = issuer.verifier().check(&token, at(BEGIN + 1));
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
    let mut private = own.clone();
    private["d"] = "AA".into();
    assert_eq!(read(json!([private])).err(), Some(JwksError::Private { index: 0 }));
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
    let bearer = issuer.verifier().check(&issuer.token(&claims), at(BEGIN)).expect("good");
    let shown = format!("{bearer:?} {:?}", bearer.user);
    for name in ["dr-001", "p-77", "feed-9"] {
        assert!(!shown.contains(name), "{shown}");
    }
}
