//! Google's credentials: its own default ones, or those that a pipeline's token is exchanged for; then perhaps another
//! identity for reading, and another for writing.
//!
//! Invariant: nothing is asked for before the first call. What cannot be had is told without the token or the answer's body.

use std::sync::Arc;

use google_cloud_auth::credentials::external_account::ProgrammaticBuilder;
use google_cloud_auth::credentials::subject_token::{Builder as Token, SubjectToken, SubjectTokenProvider};
use google_cloud_auth::credentials::{Builder, Credentials, impersonated};
use google_cloud_auth::errors::CredentialsError;

use super::client::Hand;
use super::settings::Options;
use crate::provider::send::{Secret, presentable};
use crate::provider::{Error, ErrorKind};
use crate::providers::Wiring;

/// Where the token of a pipeline is looked for.
const TOKEN: &str = "GCP_ID_TOKEN";
/// What is asked for. Groups and the directory are no part of Cloud.
const CLOUD: &str = "https://www.googleapis.com/auth/cloud-platform";
const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
const GROUPS: [&str; 2] = [
    "https://www.googleapis.com/auth/cloud-identity.groups.readonly",
    "https://www.googleapis.com/auth/cloud-identity.groups",
];
const DIRECTORY: [&str; 2] = [
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
    "https://www.googleapis.com/auth/admin.directory.user.security",
];

/// The token of a pipeline, as it stands in the environment.
#[derive(Debug)]
struct OfPipeline(Secret);

impl SubjectTokenProvider for OfPipeline {
    type Error = CredentialsError;

    async fn subject_token(&self) -> Result<SubjectToken, CredentialsError> {
        Ok(Token::new(self.0.expose()).build())
    }
}

fn scopes(options: &Options, hand: Hand) -> Vec<&'static str> {
    let at = usize::from(hand == Hand::Writes);
    let mut scopes = vec![CLOUD, EMAIL];
    if options.customer.is_some() {
        scopes.push(GROUPS[at]);
    }
    if options.users {
        scopes.push(DIRECTORY[0]);
        scopes.extend((hand == Hand::Writes).then_some(DIRECTORY[1]));
    }
    scopes
}

/// The credentials of one hand.
pub(super) fn of(options: &Options, wiring: &Wiring, hand: Hand) -> Result<Credentials, Error> {
    let identity = &options.identity;
    let wanted = match hand {
        Hand::Reads => identity.read.as_ref(),
        // One who was given no hand of his own for writing writes with the one that reads.
        Hand::Writes => identity.write.as_ref().or(identity.read.as_ref()),
    };
    let scopes = scopes(options, hand);
    let failed =
        |why: String| Error::new(ErrorKind::Auth, format!("Google's credentials cannot be used: {why}"));
    let own = match (&identity.provider, (wiring.credentials)(TOKEN)) {
        (Some(provider), Some(token)) if !token.trim().is_empty() => {
            let token = Arc::new(OfPipeline(Secret::new(token.trim())));
            ProgrammaticBuilder::new(token)
                .with_audience(format!("//iam.googleapis.com/{}", provider.value))
                .with_subject_token_type("urn:ietf:params:oauth:token-type:jwt")
                .with_scopes(if wanted.is_some() { vec![CLOUD] } else { scopes.clone() })
                .build()
        }
        (Some(_), _) => {
            let message = format!("`{TOKEN}` is not set, which `identity.provider` is to take");
            return Err(Error::new(ErrorKind::Auth, message));
        }
        (None, _) => Builder::default()
            .with_scopes(if wanted.is_some() { vec![CLOUD] } else { scopes.clone() })
            .build(),
    };
    let own = own.map_err(|error| failed(presentable(&error.to_string())))?;
    let Some(email) = wanted else { return Ok(own) };
    let built = impersonated::Builder::from_source_credentials(own)
        .with_target_principal(email.value.as_str())
        .with_scopes(scopes)
        .build();
    built.map_err(|error| failed(presentable(&error.to_string())))
}

/// Why there is no token, in words: the crate's own may quote an answer, which could quote the token.
pub(super) fn refused(error: &CredentialsError) -> Error {
    let text = error.to_string();
    let text = text.split(", body=").next().unwrap_or_default();
    let kind = if error.is_transient() { ErrorKind::Unreachable } else { ErrorKind::Auth };
    Error::new(kind, format!("Google gives no token: {}", presentable(text)))
}
