//! The filters of `search=` and `filter=`: comparisons joined by `and` and `or`, without parentheses.
//!
//! Invariant: what it does not understand is refused, never taken for true.

use serde_json::Value as Json;

use super::Problem;

/// Any of these, each of which is all of those.
#[derive(Debug)]
pub(super) struct Filter(Vec<Vec<Test>>);

#[derive(Debug)]
struct Test {
    attribute: String,
    operator: String,
    value: String,
}

impl Filter {
    /// Reads a filter.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = || Problem::new(400, "E0000031", "Invalid search criteria.");
        let mut words = words(text).ok_or_else(refuse)?.into_iter();
        let mut any = vec![Vec::new()];
        loop {
            let attribute = words.next().ok_or_else(refuse)?;
            let operator = words.next().ok_or_else(refuse)?.to_ascii_lowercase();
            let value = match operator.as_str() {
                "pr" => String::new(),
                "eq" | "ne" | "sw" | "co" | "gt" | "ge" | "lt" | "le" => words.next().ok_or_else(refuse)?,
                _ => return Err(refuse()),
            };
            if let Some(all) = any.last_mut() {
                all.push(Test { attribute, operator, value });
            }
            match words.next().map(|word| word.to_ascii_lowercase()).as_deref() {
                None => return Ok(Self(any)),
                Some("and") => {}
                Some("or") => any.push(Vec::new()),
                Some(_) => return Err(refuse()),
            }
        }
    }

    /// Whether a thing passes.
    pub(super) fn matches(&self, thing: &Json) -> bool {
        self.0.iter().any(|all| all.iter().all(|test| test.matches(thing)))
    }
}

impl Test {
    fn matches(&self, thing: &Json) -> bool {
        let found = self.attribute.split('.').try_fold(thing, |thing, key| thing.get(key));
        let Some(found) = found.filter(|found| !found.is_null()) else { return self.operator == "ne" };
        let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        let (text, value) = (text.to_lowercase(), self.value.to_lowercase());
        match self.operator.as_str() {
            "pr" => true,
            "eq" => text == value,
            "ne" => text != value,
            "sw" => text.starts_with(&value),
            "co" => text.contains(&value),
            "gt" => text > value,
            "ge" => text >= value,
            "lt" => text < value,
            _ => text <= value,
        }
    }
}

/// The words of a filter; texts in quotes are one. `None`: a quote is left open, or there are parentheses.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (mut word, mut escaped, mut end) = (String::new(), false, None);
            for (at, sign) in quoted.char_indices() {
                match sign {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => {
                        end = Some(at + 1);
                        break;
                    }
                    _ => {
                        word.push(sign);
                        escaped = false;
                    }
                }
            }
            words.push(word);
            rest = quoted.get(end?..)?.trim_start();
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.contains(['(', ')', '"']) {
                return None;
            }
            words.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comparisons_are_joined_and_what_is_not_understood_is_refused() {
        let user =
            json!({"status": "ACTIVE", "profile": {"login": "klibby@acme.com", "title": "Head of \"IT\""}});
        let passes = |text: &str| Filter::parse(text).unwrap().matches(&user);
        assert!(passes(r#"status eq "ACTIVE""#));
        assert!(passes(r#"status eq "STAGED" or profile.login sw "klibby" and status ne "STAGED""#));
        assert!(!passes(r#"status eq "STAGED" or profile.login sw "x""#));
        assert!(passes(r#"profile.title eq "head of \"it\"" "#));
        assert!(!passes(r#"profile.nothing pr"#));
        for wrong in [
            "",
            "status",
            "status is \"x\"",
            "(status eq \"x\")",
            "status eq \"x",
            "status eq \"x\" xor a pr",
        ] {
            assert_eq!(Filter::parse(wrong).unwrap_err().code, "E0000031", "{wrong}");
        }
    }
}
