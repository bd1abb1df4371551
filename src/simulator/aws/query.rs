//! The parameters of a Query request.
//!
//! Invariant: what is missing or out of bounds is a `ValidationError`, worded as AWS does.

use std::collections::BTreeMap;

use super::super::order::{Order, pairs};
use super::Problem;

/// Parameters by name: lists are flattened to `Tags.member.1.Key`.
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Those of a request, from its query and its body.
    pub(super) fn of(order: &Order) -> Self {
        let query = order.path.split_once('?').map_or("", |(_, query)| query);
        Self(pairs(query).into_iter().chain(pairs(&order.body)).collect())
    }

    /// A parameter that may be missing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Problem> {
        self.text(name).ok_or_else(|| {
            let mut field = name.to_owned();
            if let Some(first) = field.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            Problem::validation(format!(
                "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let wrong = |_| Problem::validation(format!("Value at '{name}' is no whole number"));
        self.text(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// A truth value.
    pub(super) fn is(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A list of texts.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|at| self.text(&format!("{name}.member.{at}"))).collect()
    }

    /// Tags.
    pub(super) fn tags(&self) -> Result<BTreeMap<String, String>, Problem> {
        let mut tags = BTreeMap::new();
        for at in 1.. {
            let Some(key) = self.text(&format!("Tags.member.{at}.Key")) else { break };
            let value = self.need(&format!("Tags.member.{at}.Value"))?;
            if key.is_empty() || key.len() > 128 || value.len() > 256 {
                return Err(Problem::validation(format!("Tag `{key}` is too long or has no key")));
            }
            if key.to_ascii_lowercase().starts_with("aws:") {
                return Err(Problem::new(400, "InvalidInput", "Tag keys must not start with aws:"));
            }
            if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(Problem::new(
                    400,
                    "InvalidInput",
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                ));
            }
        }
        if tags.len() > 50 {
            return Err(too_many_tags());
        }
        Ok(tags)
    }

    /// The name of something new.
    pub(super) fn name(&self, param: &str) -> Result<&str, Problem> {
        let name = self.need(param)?;
        let most = if param == "UserName" || param == "RoleName" { 64 } else { 128 };
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if name.is_empty() || name.len() > most || !name.bytes().all(sign) {
            return Err(Problem::validation(format!(
                "The specified value for {} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
                param[..1].to_ascii_lowercase() + &param[1..]
            )));
        }
        Ok(name)
    }

    /// The path of something new.
    pub(super) fn path(&self, param: &str) -> Result<Option<&str>, Problem> {
        let fits = |path: &&str| {
            path.starts_with('/')
                && path.ends_with('/')
                && path.len() <= 512
                && path.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
        };
        match self.text(param) {
            None => Ok(None),
            Some(path) if fits(&path) => Ok(Some(path)),
            Some(_) => Err(Problem::validation(
                "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
            )),
        }
    }
}

/// The error of a tag too many.
pub(super) fn too_many_tags() -> Problem {
    Problem::limit("The number of tags has reached the maximum limit.")
}
