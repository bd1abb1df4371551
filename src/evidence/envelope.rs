//! Signed statements: in-toto statements in DSSE envelopes, signed with Ed25519.
//!
//! Invariant: what is read out of an envelope is what was signed, byte for byte, by a key that was known beforehand; nothing
//! in it says which key to trust. It must not read files: whoever calls it does.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Digest, Name, Statement};

/// The type of what an envelope holds (DSSE and in-toto, both version 1).
const PAYLOAD: &str = "application/vnd.in-toto+json";
/// The type of statement.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What an approval says.
const APPROVAL: &str = "https://rolecall.dev/approval/v1";

/// A DSSE envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Predicate {
    /// The organization that the access repo is of: a signature for one must not count in another.
    organization: String,
    plan: String,
    document: Digest,
    at: Timestamp,
    until: Timestamp,
}

/// What an approval is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approves<'a> {
    /// The organization.
    pub organization: &'a str,
    /// The plan that was read, by its id.
    pub plan: &'a str,
    /// The digest of all that it said: risks and reasons, too.
    pub document: &'a Digest,
    /// The digest of its effects.
    pub effect: &'a Digest,
    /// When it is approved.
    pub at: Timestamp,
    /// Until when that counts: as long as the plan can be applied.
    pub until: Timestamp,
}

/// A key that statements are signed with.
#[derive(Debug)]
pub struct Key(Ed25519KeyPair);

impl Key {
    /// A private key as `openssl genpkey -algorithm ed25519` writes it: PEM, PKCS #8.
    #[must_use]
    pub fn read(pem: &str) -> Option<Self> {
        let body: String =
            pem.lines().filter(|line| !line.starts_with("-----")).flat_map(str::chars).collect();
        let der = STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(Self)
    }

    /// Its public part.
    #[must_use]
    pub fn public(&self) -> Option<[u8; 32]> {
        self.0.public_key().as_ref().try_into().ok()
    }

    /// Signs an approval.
    #[must_use]
    pub fn approve(&self, approves: Approves<'_>) -> Envelope {
        let Approves { organization, plan, document, effect, at, until } = approves;
        let statement = InToto {
            kind: STATEMENT.to_owned(),
            subject: vec![Subject {
                name: "effect".to_owned(),
                digest: [("sha256".to_owned(), effect.hex().to_owned())].into(),
            }],
            predicate_type: APPROVAL.to_owned(),
            predicate: Predicate {
                organization: organization.to_owned(),
                plan: plan.to_owned(),
                document: document.clone(),
                at,
                until,
            },
        };
        // Our own texts and times are all that JSON could refuse, and it refuses none of them.
        let payload = serde_json::to_vec(&statement).unwrap_or_default();
        let signature = self.0.sign(&signed(PAYLOAD, &payload));
        Envelope {
            payload_type: PAYLOAD.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![Signature { keyid: None, sig: STANDARD.encode(signature) }],
        }
    }
}

/// What is signed: DSSE's `DSSEv1 LEN(type) type LEN(body) body`.
fn signed(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The envelopes of a file: one, or several one after another.
///
/// # Errors
/// Why it holds none.
pub fn envelopes(text: &str) -> Result<Vec<Envelope>, String> {
    let read = serde_json::Deserializer::from_str(text).into_iter::<Envelope>();
    let envelopes: Vec<Envelope> = read.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if envelopes.is_empty() { Err("it is empty".to_owned()) } else { Ok(envelopes) }
}

/// The approvals of an envelope: one for each of `keys` that signed it.
///
/// # Errors
/// Why it counts for nothing.
pub fn approvals(
    envelope: &Envelope,
    file: &str,
    keys: &BTreeMap<Name, [u8; 32]>,
    organization: &str,
    now: Timestamp,
) -> Result<Vec<Statement>, String> {
    let payload = STANDARD.decode(&envelope.payload).map_err(|_| "its payload is not base64".to_owned())?;
    let body = signed(&envelope.payload_type, &payload);
    let signatures: Vec<Vec<u8>> =
        envelope.signatures.iter().filter_map(|signature| STANDARD.decode(&signature.sig).ok()).collect();
    let has_signed = |key: &[u8; 32]| {
        let key = UnparsedPublicKey::new(&ED25519, key);
        signatures.iter().any(|signature| key.verify(&body, signature).is_ok())
    };
    let by: Vec<&Name> = keys.iter().filter(|(_, key)| has_signed(key)).map(|(handle, _)| handle).collect();
    if by.is_empty() {
        return Err("none of the keys in `approvals.keys` of base has signed it".to_owned());
    }
    // Only now is it worth reading.
    if envelope.payload_type != PAYLOAD {
        return Err(format!("it holds `{}`, and no statement", envelope.payload_type));
    }
    let statement: InToto =
        serde_json::from_slice(&payload).map_err(|error| format!("it is no statement: {error}"))?;
    if statement.kind != STATEMENT || statement.predicate_type != APPROVAL {
        return Err("it is a statement about something else".to_owned());
    }
    let Predicate { organization: of, plan, document, at, until } = statement.predicate;
    if of != organization {
        return Err(format!("it is of `{of}`, and this is `{organization}`"));
    }
    if until <= now {
        return Err(format!("it counted until {until}"));
    }
    if at > now {
        return Err(format!("it says that it was signed at {at}, which is yet to come"));
    }
    let [subject] = statement.subject.as_slice() else { return Err("it is not of one effect".to_owned()) };
    let effect = subject.digest.get("sha256").and_then(|hex| Digest::from_hex(hex));
    let effect = effect.ok_or("it is not of an effect")?;
    let of = |by: &Name| Statement {
        file: file.to_owned(),
        by: by.clone(),
        at,
        plan: plan.clone(),
        document: document.clone(),
        effect: effect.clone(),
    };
    Ok(by.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair that RFC 8410 prints.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn approval() -> (Envelope, BTreeMap<Name, [u8; 32]>) {
        let key = Key::read(PEM).unwrap();
        let effect = Digest::of(&"x");
        let approves = Approves {
            organization: "acme",
            plan: "0123",
            document: &effect,
            effect: &effect,
            at: at("2026-11-22T17:00:00Z"),
            until: at("2026-11-29T17:00:00Z"),
        };
        (key.approve(approves), [("klibby".into(), key.public().unwrap())].into())
    }

    #[test]
    fn what_was_signed_counts_for_whose_key_it_is() {
        let (envelope, keys) = approval();
        let text = serde_json::to_string(&envelope).unwrap();
        let read = envelopes(&format!("{text}\n{text}")).unwrap();
        assert_eq!(read, [envelope.clone(), envelope]);
        let now = at("2026-11-23T00:00:00Z");
        let statements = approvals(&read[0], "a.json", &keys, "acme", now).unwrap();
        assert_eq!(statements.len(), 1);
        assert_eq!((&*statements[0].by, &statements[0].effect), ("klibby", &Digest::of(&"x")));
    }

    #[test]
    fn invariant_2_a_statement_that_was_altered_is_of_another_time_or_organization_counts_for_nothing() {
        let (envelope, keys) = approval();
        let now = at("2026-11-23T00:00:00Z");
        let refused = |envelope: &Envelope, organization: &str, now: Timestamp| {
            approvals(envelope, "a.json", &keys, organization, now).unwrap_err()
        };
        assert!(refused(&envelope, "other", now).contains("is of `acme`"));
        assert!(refused(&envelope, "acme", at("2026-11-29T17:00:00Z")).contains("until"));
        assert!(refused(&envelope, "acme", at("2026-11-21T00:00:00Z")).contains("yet to come"));
        let payload = STANDARD.decode(&envelope.payload).unwrap();
        for byte in 0..payload.len() {
            let mut altered = payload.clone();
            altered[byte] ^= 1;
            let altered = Envelope { payload: STANDARD.encode(altered), ..envelope.clone() };
            assert!(refused(&altered, "acme", now).contains("none of the keys"), "{byte}");
        }
        let other = Envelope { payload_type: "text/plain".to_owned(), ..envelope.clone() };
        assert!(refused(&other, "acme", now).contains("none of the keys"));
        let nobody = approvals(&envelope, "a.json", &BTreeMap::new(), "acme", now).unwrap_err();
        assert!(nobody.contains("none of the keys"));
    }

    #[test]
    fn a_key_that_is_none_is_not_read() {
        for text in ["", "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----", "MC4CAQ=="] {
            assert!(Key::read(text).is_none(), "{text}");
        }
    }
}
