//! Topics and filters. A filter is allowed only when every topic it can match is: so the site and
//! the kind are always spelled out, and wildcards stand below them.
//!
//! Decisions that the topic table leaves open:
//! - The site level of a filter is always concrete. `mw/v1/+/evt/#` would widen silently on the
//!   day a second site appears.
//! - Service health (`mw/v1/-/status/…`) is open to all staff; it names processes, nothing else.
//! - A service hears and says what it is there for. Whoever takes one service over can then not
//!   send commands in other names, read log-ins, or answer in identity's place.
//! - What happens to accounts (`mw/v1/-/evt/…`) is open to admins and auditors.
//! - Commands and replies are never retained: a retained command would act again on every
//!   restart of its service.

use mw_contract::topics::{Internal, NO_SITE, SiteLevel, Topic, check_filter, check_name};
use mw_contract::{Context, Role, SiteId};

use crate::account::{Access, Account};

use Access::{Allow, Deny};

/// May the account publish to this topic? A will is a publish too.
pub fn may_publish(who: &Account, topic: &str, retain: bool) -> Access {
    if who.disabled {
        return Deny("the account is disabled");
    }
    if check_name(topic).is_err() {
        return Deny("not a topic name that is taken here");
    }
    let Some(topic) = Topic::parse(topic) else { return Deny("not a topic of this product") };
    if retain && matches!(topic, Topic::Command { .. } | Topic::Reply { .. }) {
        return Deny("commands and replies are never retained");
    }
    if who.service {
        return service_may_publish(who, &topic);
    }
    match topic {
        Topic::Command { account, .. } if account != who.name => Deny("commands go to the sender's own topic only"),
        Topic::Command { site: SiteLevel::None, context, .. } if context != Context::Identity => {
            Deny("this context needs a site")
        }
        Topic::Command { site: SiteLevel::None, .. } => Allow,
        Topic::Command { site: SiteLevel::Site(site), .. } => own_site(who, &site),
        Topic::Device { site, cell, .. } => {
            if who.has(Role::Device) && who.cell.as_ref() == Some(&cell) {
                own_site(who, &site)
            } else {
                Deny("only the device of a cell speaks for it")
            }
        }
        Topic::Sandbox if who.has(Role::Admin) => Allow,
        Topic::Sandbox => Deny("only admins publish to the sandbox"),
        Topic::Reply { .. }
        | Topic::Event { .. }
        | Topic::State { .. }
        | Topic::Status { .. }
        | Topic::Internal { .. } => Deny("only the product's own services publish here"),
    }
}

/// May the account subscribe this filter?
pub fn may_subscribe(who: &Account, filter: &str) -> Access {
    if who.disabled {
        return Deny("the account is disabled");
    }
    if check_filter(filter).is_err() {
        return Deny("not a filter that is taken here");
    }
    if filter.starts_with('$') {
        return Deny("shared subscriptions and broker topics are not offered");
    }
    if who.service {
        return service_may_subscribe(who, filter);
    }
    let levels: Vec<&str> = filter.split('/').collect();
    match levels.as_slice() {
        ["sandbox", _, ..] if who.is_staff() => Allow,
        ["sandbox", ..] => Deny("only staff watch the sandbox"),
        ["mw", "v1", site, kind, rest @ ..] => product_filter(who, site, kind, rest),
        _ => Deny("the filter reaches beyond what the account may see"),
    }
}

/// A service speaks for itself alone: no commands in another's name, nobody else's health, no
/// answers in place of a context's owner.
fn service_may_publish(who: &Account, topic: &Topic) -> Access {
    let owns = |context: &Context| who.name.as_str() == context.as_str();
    let may = match topic {
        Topic::Command { account, .. } => *account == who.name,
        Topic::Status { service } => service == who.name.as_str(),
        Topic::Reply { .. } | Topic::Event { .. } => Context::ALL.iter().any(owns),
        Topic::Internal { part: Internal::LogRequest | Internal::Ask, .. } => true,
        Topic::Internal { context, .. } => owns(context),
        Topic::Device { .. } | Topic::State { .. } | Topic::Sandbox => true,
    };
    if may { Allow } else { Deny("a service speaks for itself only") }
}

/// Log-ins and pieces of logs go to the one service that they are for.
fn service_may_subscribe(who: &Account, filter: &str) -> Access {
    let levels: Vec<&str> = filter.split('/').collect();
    let may_be = |i: usize, level: &str| match levels.get(i) {
        Some(l) => *l == level || *l == "+" || *l == "#",
        None => levels.last() == Some(&"#"),
    };
    let internal = may_be(0, "mw") && may_be(1, "v1") && may_be(2, NO_SITE) && may_be(3, "log");
    if !internal {
        return Allow;
    }
    let may = match Topic::parse(filter) {
        Some(Topic::Internal { context, part }) => match part {
            Internal::LogRequest | Internal::Ask => who.name.as_str() == context.as_str(),
            Internal::LogChunk { reader } | Internal::Answer { asker: reader } => reader == who.name,
            Internal::LogHead | Internal::Keys => true,
        },
        _ => false,
    };
    if may { Allow } else { Deny("this is for another service") }
}

fn product_filter(who: &Account, site: &str, kind: &str, rest: &[&str]) -> Access {
    if kind == "rsp" {
        return match rest {
            [account, ..] if *account == who.name.as_str() => {
                if site == NO_SITE {
                    Allow
                } else {
                    concrete_site(who, site)
                }
            }
            _ => Deny("replies are for their own account only"),
        };
    }
    // The names below each kind, at most; a deeper filter would only cost memory.
    let most = match kind {
        "evt" => 2,
        "dev" => 3,
        "state" => 2,
        "status" if site == NO_SITE => 1,
        _ => return Deny("the account may not see this kind of topic"),
    };
    if !who.is_staff() {
        return Deny("only staff see this kind of topic");
    }
    let names = if rest.last() == Some(&"#") { rest.len() - 1 } else { rest.len() };
    if rest.is_empty() || names > most {
        return Deny("no topic has this form");
    }
    if site != NO_SITE {
        return concrete_site(who, site);
    }
    match kind {
        "status" => Allow,
        "evt" if who.has(Role::Admin) || who.has(Role::Auditor) => Allow,
        "evt" => Deny("only admins and auditors see what happens to accounts"),
        _ => Deny("this kind of topic belongs to a site"),
    }
}

fn concrete_site(who: &Account, site: &str) -> Access {
    match SiteId::new(site) {
        Ok(site) => own_site(who, &site),
        Err(_) => Deny("the filter must name one site"),
    }
}

fn own_site(who: &Account, site: &SiteId) -> Access {
    if who.sites.contains(site) { Allow } else { Deny("not a site of this account") }
}
