//! Users, groups and roles: made, changed, deleted.
//!
//! Invariant: what still has something hanging on it is not deleted.

use super::super::world::{IamGroup, IamRole, IamUser};
use super::Problem;
use super::document::{self, Use};
use super::iam::{Answer, Iam, Kind};
use super::xml::Xml;

/// How long a trust policy may be.
const TRUST_SIZE: usize = 2048;
/// In how many groups a user may be.
const GROUPS_PER_USER: usize = 10;

impl Iam<'_> {
    pub(super) fn find_user(&self, name: &str) -> Result<&IamUser, Problem> {
        self.account().users.get(name).ok_or_else(|| cannot_be_found(Kind::User, name))
    }

    pub(super) fn find_group(&self, name: &str) -> Result<&IamGroup, Problem> {
        self.account().groups.get(name).ok_or_else(|| cannot_be_found(Kind::Group, name))
    }

    pub(super) fn find_role(&self, name: &str) -> Result<&IamRole, Problem> {
        self.account().roles.get(name).ok_or_else(|| cannot_be_found(Kind::Role, name))
    }

    pub(super) fn user_mut(&mut self, name: &str) -> Result<&mut IamUser, Problem> {
        self.account_mut().users.get_mut(name).ok_or_else(|| cannot_be_found(Kind::User, name))
    }

    fn role_mut(&mut self, name: &str) -> Result<&mut IamRole, Problem> {
        self.account_mut().roles.get_mut(name).ok_or_else(|| cannot_be_found(Kind::Role, name))
    }

    /// The name of something new, which nothing of its kind has in any case.
    fn new_name(&self, kind: Kind, param: &str) -> Result<String, Problem> {
        let name = self.params.name(param)?;
        let same = |taken: &String| taken.eq_ignore_ascii_case(name);
        let it = self.account();
        let taken = match kind {
            Kind::User => it.users.keys().any(same),
            Kind::Group => it.groups.keys().any(same),
            Kind::Role => it.roles.keys().any(same),
        };
        if taken {
            let mut word = kind.word().to_owned();
            word[..1].make_ascii_uppercase();
            return Err(Problem::exists(format!("{word} with name {name} already exists.")));
        }
        Ok(name.to_owned())
    }

    fn new_path(&self) -> Result<String, Problem> {
        Ok(self.params.path("Path")?.unwrap_or("/").to_owned())
    }

    fn new_boundary(&self) -> Result<Option<String>, Problem> {
        self.params.text("PermissionsBoundary").map(|arn| self.policy_ref(arn)).transpose()
    }

    pub(super) fn create_user(&mut self) -> Answer {
        let name = self.new_name(Kind::User, "UserName")?;
        let user = IamUser {
            id: self.new_id("AIDA", &name),
            path: self.new_path()?,
            tags: self.params.tags()?,
            boundary: self.new_boundary()?,
            created: Some(self.moment.now),
            name: name.clone(),
            ..IamUser::default()
        };
        self.account_mut().users.insert(name.clone(), user);
        self.user_answer(&name)
    }

    pub(super) fn read_user(&self) -> Answer {
        let name =
            self.params.text("UserName").or_else(|| self.caller.rsplit('/').next()).unwrap_or_default();
        self.user_answer(name)
    }

    fn user_answer(&self, name: &str) -> Answer {
        let user = self.find_user(name)?;
        let mut xml = Xml::default();
        xml.node("User", |xml| self.user(xml, user));
        Ok(Some(xml.finish()))
    }

    pub(super) fn update_user(&mut self) -> Answer {
        let old = self.params.need("UserName")?.to_owned();
        self.find_user(&old)?;
        let name = match self.params.text("NewUserName") {
            Some(new) if new != old => self.new_name(Kind::User, "NewUserName")?,
            _ => old.clone(),
        };
        let path = self.params.path("NewPath")?.map(str::to_owned);
        let users = &mut self.account_mut().users;
        if let Some(mut user) = users.remove(&old) {
            user.path = path.unwrap_or(user.path);
            user.name.clone_from(&name);
            users.insert(name, user);
        }
        Ok(None)
    }

    pub(super) fn delete_user(&mut self) -> Answer {
        let name = self.params.need("UserName")?.to_owned();
        let user = self.find_user(&name)?;
        refuse(!user.groups.is_empty(), "must remove user from groups first.")?;
        refuse(user.login_profile, "must delete login profile first.")?;
        refuse(!user.access_keys.is_empty(), "must delete access keys first.")?;
        refuse(!user.mfa.is_empty(), "must delete MFA device first.")?;
        refuse(!user.policies.is_empty(), "must detach all policies first.")?;
        refuse(!user.inline.is_empty(), "must delete policies first.")?;
        self.account_mut().users.remove(&name);
        Ok(None)
    }

    pub(super) fn create_group(&mut self) -> Answer {
        let name = self.new_name(Kind::Group, "GroupName")?;
        let group = IamGroup {
            id: self.new_id("AGPA", &name),
            path: self.new_path()?,
            created: Some(self.moment.now),
            name: name.clone(),
            ..IamGroup::default()
        };
        self.account_mut().groups.insert(name.clone(), group);
        let mut xml = Xml::default();
        xml.node("Group", |xml| {
            if let Ok(group) = self.find_group(&name) {
                self.group(xml, group);
            }
        });
        Ok(Some(xml.finish()))
    }

    pub(super) fn update_group(&mut self) -> Answer {
        let old = self.params.need("GroupName")?.to_owned();
        self.find_group(&old)?;
        let name = match self.params.text("NewGroupName") {
            Some(new) if new != old => self.new_name(Kind::Group, "NewGroupName")?,
            _ => old.clone(),
        };
        let path = self.params.path("NewPath")?.map(str::to_owned);
        let account = self.account_mut();
        if let Some(mut group) = account.groups.remove(&old) {
            group.path = path.unwrap_or(group.path);
            group.name.clone_from(&name);
            for user in account.users.values_mut() {
                if user.groups.remove(&old) {
                    user.groups.insert(name.clone());
                }
            }
            account.groups.insert(name, group);
        }
        Ok(None)
    }

    pub(super) fn delete_group(&mut self) -> Answer {
        let name = self.params.need("GroupName")?.to_owned();
        let group = self.find_group(&name)?;
        let has_users = self.account().users.values().any(|user| user.groups.contains(&name));
        refuse(has_users, "must remove users from group first.")?;
        refuse(!group.policies.is_empty(), "must detach all policies first.")?;
        refuse(!group.inline.is_empty(), "must delete policies first.")?;
        self.account_mut().groups.remove(&name);
        Ok(None)
    }

    /// AddUserToGroup and RemoveUserFromGroup.
    pub(super) fn join(&mut self, add: bool) -> Answer {
        let group = self.params.need("GroupName")?.to_owned();
        let name = self.params.need("UserName")?.to_owned();
        self.find_group(&group)?;
        let user = self.user_mut(&name)?;
        if !add {
            user.groups.remove(&group);
        } else if user.groups.len() >= GROUPS_PER_USER && !user.groups.contains(&group) {
            return Err(Problem::limit(format!("Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER}")));
        } else {
            user.groups.insert(group);
        }
        Ok(None)
    }

    pub(super) fn create_role(&mut self) -> Answer {
        let name = self.new_name(Kind::Role, "RoleName")?;
        let role = IamRole {
            id: self.new_id("AROA", &name),
            path: self.new_path()?,
            description: self.description()?.filter(|text| !text.is_empty()),
            max_session: self.max_session()?,
            tags: self.params.tags()?,
            trust: self.trust("AssumeRolePolicyDocument")?,
            boundary: self.new_boundary()?,
            created: Some(self.moment.now),
            name: name.clone(),
            ..IamRole::default()
        };
        self.account_mut().roles.insert(name.clone(), role);
        self.role_answer(&name)
    }

    pub(super) fn read_role(&self) -> Answer {
        self.role_answer(self.params.need("RoleName")?)
    }

    fn role_answer(&self, name: &str) -> Answer {
        let role = self.find_role(name)?;
        let mut xml = Xml::default();
        xml.node("Role", |xml| self.role(xml, role));
        Ok(Some(xml.finish()))
    }

    fn description(&self) -> Result<Option<String>, Problem> {
        match self.params.text("Description") {
            Some(text) if text.chars().count() > 1000 => Err(Problem::validation(
                "Value at 'description' failed to satisfy constraint: Member must have length less than or equal to 1000",
            )),
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn max_session(&self) -> Result<Option<u32>, Problem> {
        match self.params.number("MaxSessionDuration")? {
            None => Ok(None),
            Some(seconds @ 3600..=43200) => Ok(u32::try_from(seconds).ok()),
            Some(seconds) => Err(Problem::validation(format!(
                "1 validation error detected: Value '{seconds}' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between 3600 and 43200"
            ))),
        }
    }

    fn trust(&self, param: &str) -> Result<serde_json::Value, Problem> {
        document::read(self.params.need(param)?, Use::Trust, TRUST_SIZE, self.world)
    }

    pub(super) fn update_role(&mut self) -> Answer {
        let name = self.params.need("RoleName")?.to_owned();
        let (description, max_session) = (self.description()?, self.max_session()?);
        let role = self.role_mut(&name)?;
        if let Some(description) = description {
            role.description = Some(description).filter(|text| !text.is_empty());
        }
        role.max_session = max_session.or(role.max_session);
        Ok(Some(String::new()))
    }

    pub(super) fn update_role_description(&mut self) -> Answer {
        let name = self.params.need("RoleName")?.to_owned();
        let description = self.description()?;
        self.role_mut(&name)?.description = description.filter(|text| !text.is_empty());
        self.role_answer(&name)
    }

    pub(super) fn update_trust(&mut self) -> Answer {
        let name = self.params.need("RoleName")?.to_owned();
        self.find_role(&name)?;
        let trust = self.trust("PolicyDocument")?;
        self.role_mut(&name)?.trust = trust;
        Ok(None)
    }

    pub(super) fn delete_role(&mut self) -> Answer {
        let name = self.params.need("RoleName")?.to_owned();
        let role = self.find_role(&name)?;
        if role.path.starts_with("/aws-service-role/") {
            let message = format!(
                "Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
            );
            return Err(Problem::new(400, "UnmodifiableEntity", message));
        }
        refuse(!role.policies.is_empty(), "must detach all policies first.")?;
        refuse(!role.inline.is_empty(), "must delete policies first.")?;
        self.account_mut().roles.remove(&name);
        Ok(None)
    }
}

fn refuse(when: bool, why: &str) -> Result<(), Problem> {
    if when { Err(Problem::conflict(format!("Cannot delete entity, {why}"))) } else { Ok(()) }
}

pub(super) fn cannot_be_found(kind: Kind, name: &str) -> Problem {
    Problem::missing(format!("The {} with name {name} cannot be found.", kind.word()))
}
