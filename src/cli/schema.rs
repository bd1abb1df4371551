//! `rolecall schema`: the JSON Schema of a kind, or of every document, for editors.

use super::{Exit, Failure, print};
use crate::model::{Code, Finding, nearest};
use crate::{manifest, providers};

/// There is no such kind.
const NO_KIND: Code = Code { code: "RC208", title: "there is no such kind" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NO_KIND];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A kind such as `Role` or `aws/Role`, or `Settings` for rolecall.yaml; all documents unless given
    kind: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let registry = providers::registry();
    let kind = arguments.kind.as_deref();
    let Some(schema) = manifest::json_schema(&registry, kind) else {
        let kind = kind.unwrap_or_default();
        let native = registry
            .types
            .iter()
            .flat_map(|provider| &provider.kinds)
            .filter_map(|kind| Some(kind.declared?.name));
        let names: Vec<&str> = manifest::OWN_KINDS.into_iter().chain(["Settings"]).chain(native).collect();
        let finding = Finding::error(NO_KIND, format!("there is no kind `{kind}`"));
        let help = match nearest(kind, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the kinds are `{}`", names.join("`, `")),
        };
        return Err(finding.help(help).into());
    };
    print(&format!("{schema:#}\n"));
    Ok(Exit::Success)
}
