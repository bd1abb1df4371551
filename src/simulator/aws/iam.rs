//! IAM: which action is which, and what they share.
//!
//! Invariant: an order that is refused has changed nothing.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use super::super::faults::Fault;
use super::super::keyed;
use super::super::order::{Moment, Order, Reply, Service};
use super::super::world::{AwsAccount, World};
use super::query::Params;
use super::xml::Xml;
use super::{Problem, unknown, wrap};

/// The inside of an action's result; `None`: it has none.
pub(super) type Answer = Result<Option<String>, Problem>;

/// An order being carried out.
pub(super) struct Iam<'a> {
    /// Copied only where it is written to while someone else still looks at it.
    pub(super) world: &'a mut Arc<World>,
    /// The account's id; the account exists.
    pub(super) id: String,
    pub(super) caller: &'a str,
    pub(super) params: Params,
    pub(super) moment: &'a Moment,
}

/// What policies hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
    Role,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// The parameter with its name.
    pub(super) fn param(self) -> &'static str {
        match self {
            Self::User => "UserName",
            Self::Group => "GroupName",
            Self::Role => "RoleName",
        }
    }
}

/// Carries an order out.
pub(in super::super) fn run(world: &mut Arc<World>, order: &Order, moment: &Moment) -> Reply {
    let params = Params::of(order);
    let action = params.text("Action").unwrap_or_default().to_owned();
    let id = order.account().to_owned();
    let result = if world.aws.accounts.contains_key(&id) {
        Iam { world, id, caller: &order.caller, params, moment }.dispatch(&action)
    } else {
        let message = "The security token included in the request is invalid.";
        Err(Problem::new(403, "InvalidClientTokenId", message))
    };
    match result {
        Ok(inside) => wrap(Service::Iam, &action, inside.as_deref(), moment),
        Err(problem) => problem.reply(Service::Iam, moment),
    }
}

impl Iam<'_> {
    fn dispatch(mut self, action: &str) -> Answer {
        use Kind::{Group, Role, User};
        match action {
            "GetAccountAuthorizationDetails" => self.sweep(),
            "ListUsers" => self.list_users(),
            "ListGroups" => self.list_groups(),
            "ListRoles" => self.list_roles(),
            "ListPolicies" => self.list_policies(),
            "GetUser" => self.read_user(),
            "GetGroup" => self.read_group(),
            "GetRole" => self.read_role(),
            "GetPolicy" => self.read_policy(),
            "GetPolicyVersion" => self.read_version(),
            "ListPolicyVersions" => self.list_versions(),
            "ListEntitiesForPolicy" => self.list_entities(),
            "ListGroupsForUser" => self.list_groups_of(),

            "CreateUser" => self.create_user(),
            "UpdateUser" => self.update_user(),
            "DeleteUser" => self.delete_user(),
            "CreateGroup" => self.create_group(),
            "UpdateGroup" => self.update_group(),
            "DeleteGroup" => self.delete_group(),
            "AddUserToGroup" => self.join(true),
            "RemoveUserFromGroup" => self.join(false),
            "CreateRole" => self.create_role(),
            "UpdateRole" => self.update_role(),
            "UpdateRoleDescription" => self.update_role_description(),
            "UpdateAssumeRolePolicy" => self.update_trust(),
            "DeleteRole" => self.delete_role(),
            "CreatePolicy" => self.create_policy(),
            "DeletePolicy" => self.delete_policy(),
            "CreatePolicyVersion" => self.create_version(),
            "SetDefaultPolicyVersion" => self.set_default_version(),
            "DeletePolicyVersion" => self.delete_version(),

            "AttachUserPolicy" => self.attach(User),
            "AttachGroupPolicy" => self.attach(Group),
            "AttachRolePolicy" => self.attach(Role),
            "DetachUserPolicy" => self.detach(User),
            "DetachGroupPolicy" => self.detach(Group),
            "DetachRolePolicy" => self.detach(Role),
            "ListAttachedUserPolicies" => self.list_attached(User),
            "ListAttachedGroupPolicies" => self.list_attached(Group),
            "ListAttachedRolePolicies" => self.list_attached(Role),
            "PutUserPolicy" => self.put_inline(User),
            "PutGroupPolicy" => self.put_inline(Group),
            "PutRolePolicy" => self.put_inline(Role),
            "GetUserPolicy" => self.read_inline(User),
            "GetGroupPolicy" => self.read_inline(Group),
            "GetRolePolicy" => self.read_inline(Role),
            "DeleteUserPolicy" => self.delete_inline(User),
            "DeleteGroupPolicy" => self.delete_inline(Group),
            "DeleteRolePolicy" => self.delete_inline(Role),
            "ListUserPolicies" => self.list_inline(User),
            "ListGroupPolicies" => self.list_inline(Group),
            "ListRolePolicies" => self.list_inline(Role),
            "PutUserPermissionsBoundary" => self.put_boundary(User),
            "PutRolePermissionsBoundary" => self.put_boundary(Role),
            "DeleteUserPermissionsBoundary" => self.delete_boundary(User),
            "DeleteRolePermissionsBoundary" => self.delete_boundary(Role),
            "TagUser" => self.tag(Some(User)),
            "TagRole" => self.tag(Some(Role)),
            "TagPolicy" => self.tag(None),
            "UntagUser" => self.untag(Some(User)),
            "UntagRole" => self.untag(Some(Role)),
            "UntagPolicy" => self.untag(None),
            "ListUserTags" => self.list_tags(Some(User)),
            "ListRoleTags" => self.list_tags(Some(Role)),
            "ListPolicyTags" => self.list_tags(None),

            "ListAccessKeys" => self.list_access_keys(),
            "UpdateAccessKey" => self.update_access_key(),
            "DeleteAccessKey" => self.delete_access_key(),
            "GetLoginProfile" => self.read_login_profile(),
            "DeleteLoginProfile" => self.delete_login_profile(),
            "ListMFADevices" => self.list_mfa(),
            "DeactivateMFADevice" => self.deactivate_mfa(),
            "ListSSHPublicKeys" => self.none_of("SSHPublicKeys", Some(User)),
            "ListSigningCertificates" => self.none_of("Certificates", Some(User)),
            "ListServiceSpecificCredentials" => self.none_of("ServiceSpecificCredentials", Some(User)),
            "ListInstanceProfilesForRole" => self.none_of("InstanceProfiles", Some(Role)),
            "ListAccountAliases" => self.none_of("AccountAliases", None),
            _ => Err(unknown(action)),
        }
    }

    /// The account that is asked.
    pub(super) fn account(&self) -> &AwsAccount {
        static NONE: std::sync::LazyLock<AwsAccount> = std::sync::LazyLock::new(AwsAccount::default);
        // It was there when this began, and nothing removes accounts.
        self.world.aws.accounts.get(&self.id).unwrap_or(&NONE)
    }

    /// The account that is asked, to change.
    pub(super) fn account_mut(&mut self) -> &mut AwsAccount {
        Arc::make_mut(self.world).aws.accounts.entry(self.id.clone()).or_default()
    }

    /// The ARN of something of the account: `user`, `/path/`, `name`.
    pub(super) fn arn(&self, kind: &str, path: &str, name: &str) -> String {
        format!("arn:aws:iam::{}:{kind}{path}{name}", self.id)
    }

    /// A unique id for something new.
    pub(super) fn new_id(&self, prefix: &str, name: &str) -> String {
        let number = self.moment.n.to_string();
        format!("{prefix}{}", keyed::token(&[prefix, &self.id, name, &number], 17).to_ascii_uppercase())
    }

    /// One page of `items`, which are sorted by their keys: `IsTruncated`, `Marker`, and what `write` makes of the page.
    pub(super) fn page<T>(
        &self,
        items: impl IntoIterator<Item = (String, T)>,
        write: impl FnOnce(&mut Xml, Vec<T>),
    ) -> Answer {
        let most = self.params.number("MaxItems")?.unwrap_or(100);
        if !(1..=1000).contains(&most) {
            let message = format!(
                "1 validation error detected: Value '{most}' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000"
            );
            return Err(Problem::validation(message));
        }
        let size = usize::try_from(most).unwrap_or(100).min(self.world.page_size);
        let size = match self.moment.fault {
            Some(Fault::ShortPage) => size.div_ceil(2),
            Some(Fault::HollowPage | Fault::EmptyList) => 0,
            _ => size,
        };
        let own = self.params.text("Marker");
        let after = match own {
            Some(marker) => Some(unmark(marker).ok_or_else(|| Problem::validation("Invalid Marker."))?),
            None => None,
        };
        let mut items =
            items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)).peekable();
        let (mut page, mut last) = (Vec::new(), String::new());
        while page.len() < size
            && let Some((key, item)) = items.next()
        {
            last = key;
            page.push(item);
        }
        let next = match (self.moment.fault, own) {
            (Some(Fault::EmptyList), _) => None,
            (Some(Fault::RepeatedCursor), Some(own)) => Some(own.to_owned()),
            _ if items.peek().is_none() => None,
            // Another marker of the same place.
            (Some(Fault::HollowPage), own) => Some(format!("{}.", own.unwrap_or_default())),
            _ => Some(mark(&last)),
        };
        let mut xml = Xml::default();
        write(&mut xml, page);
        xml.leaf("IsTruncated", if next.is_some() { "true" } else { "false" });
        if let Some(next) = next {
            xml.leaf("Marker", &next);
        }
        Ok(Some(xml.finish()))
    }
}

/// A marker that says nothing to clients.
fn mark(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unmark(marker: &str) -> Option<String> {
    let pairs = marker.trim_end_matches('.').as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

/// How IAM writes times.
const WITH_SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));

/// A time as IAM writes it; what the world does not tell was long ago.
pub(super) fn stamp(time: Option<Timestamp>) -> String {
    let time = time.unwrap_or(Timestamp::constant(1_577_836_800, 0));
    WITH_SECONDS.timestamp_to_string(&time)
}

/// A document as IAM shows it: percent-encoded JSON.
pub(super) fn encoded(document: &serde_json::Value) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const RFC3986: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(&document.to_string(), RFC3986).to_string()
}
