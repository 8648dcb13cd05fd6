//! What of the read side an account sees. An answer is a filter that the query API puts into
//! every statement; what it excludes is answered as if it did not exist.
//!
//! Readings of the roles table: accounts carry no lines yet, so "own line" is the whole site, and no
//! teams, so "team" is too; an operator's own tickets are internal ones, those of no customer;
//! an auditor reads everything of the sites that the account has. The outcome of a command is
//! also open to whoever sent it, devices and customers too: it is the reply they were sent.

use std::collections::BTreeSet;

use mw_contract::{AccountName, CustomerId, Role, SiteId};

use crate::account::Account;

/// A resource of the query API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Lists and documents of work orders.
    WorkOrders,
    /// The history of one work order.
    WorkOrderEvents,
    /// The board of work orders.
    Boards,
    /// The queue of a cell.
    CellQueues,
    /// Planned and actual work.
    Schedule,
    /// Missing material.
    Shortages,
    /// Inspections and nonconformances.
    Quality,
    /// Machines and their downtime.
    Equipment,
    /// Stock.
    Stock,
    /// Produced units and what they are made of.
    Units,
    /// Refused commands that a person should look at.
    Inbox,
    /// Outcomes of commands.
    Commands,
    /// The log itself.
    AuditEvents,
    /// Checkpoints and proofs of the log.
    AuditProofs,
    /// KPIs and paretos.
    Figures,
    /// Lists and documents of tickets.
    Tickets,
    /// The history of one ticket.
    TicketEvents,
    /// The board of tickets.
    TicketBoards,
    /// What a technician has to do.
    TechnicianQueues,
    /// Tickets whose time runs out.
    SlaAtRisk,
    /// How old the open tickets are.
    Backlog,
    /// Maintenance plans and when they are due.
    MaintenancePlans,
    /// Parts that tickets and orders used.
    PartsUsage,
    /// A customer's own units and tickets.
    My,
    /// Measurements of the processes.
    Metrics,
}

impl Route {
    /// Every route.
    pub const ALL: &'static [Route] = &[
        Route::WorkOrders,
        Route::WorkOrderEvents,
        Route::Boards,
        Route::CellQueues,
        Route::Schedule,
        Route::Shortages,
        Route::Quality,
        Route::Equipment,
        Route::Stock,
        Route::Units,
        Route::Inbox,
        Route::Commands,
        Route::AuditEvents,
        Route::AuditProofs,
        Route::Figures,
        Route::Tickets,
        Route::TicketEvents,
        Route::TicketBoards,
        Route::TechnicianQueues,
        Route::SlaAtRisk,
        Route::Backlog,
        Route::MaintenancePlans,
        Route::PartsUsage,
        Route::My,
        Route::Metrics,
    ];
}

/// Which sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sites {
    /// All, those of tomorrow too: services only.
    All,
    /// These. None at all when empty.
    Some(BTreeSet<SiteId>),
}

impl Sites {
    /// Is this site among them?
    pub fn contains(&self, site: &SiteId) -> bool {
        match self {
            Sites::All => true,
            Sites::Some(set) => set.contains(site),
        }
    }
}

/// The part of a resource that an account sees: all of these conditions together, except that
/// `own_too` opens its own things whatever the rest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Only what belongs to these sites.
    pub sites: Sites,
    /// Is what belongs to no site (accounts, commands at site `-`) seen too?
    pub siteless: bool,
    /// Only what belongs to this customer.
    pub customer: Option<CustomerId>,
    /// Only what is of the plant itself, and of no customer.
    pub internal_only: bool,
    /// Only what the account itself sent or did.
    pub own_account_only: bool,
    /// What the account itself sent is seen at whatever site, also where it was refused.
    pub own_too: bool,
}

impl Scope {
    /// Everything: for what the services read for themselves.
    pub fn everything() -> Scope {
        Scope {
            sites: Sites::All,
            siteless: true,
            customer: None,
            internal_only: false,
            own_account_only: false,
            own_too: true,
        }
    }

    /// Does the scope of `me` hold a thing of this site (`None`: of no site) that `actor` sent or
    /// did? The customer is not part of the answer.
    pub fn sees(&self, me: &AccountName, site: Option<&SiteId>, actor: &AccountName) -> bool {
        let own = me == actor;
        let here = site.map_or(self.siteless, |s| self.sites.contains(s));
        (own && self.own_too) || (here && (own || !self.own_account_only))
    }
}

/// How much of a resource one role sees. Ordered: more is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    Own,
    /// Of its sites what is of the plant itself.
    Internal,
    Site,
    /// Its sites and what belongs to none.
    SiteAndNone,
    Everything,
}

fn sight(role: Role, route: Route) -> Option<Sight> {
    use Role as R;
    use Sight::{Everything, Internal, Own, Site, SiteAndNone};
    if role == R::System {
        return Some(Everything);
    }
    match route {
        Route::WorkOrders
        | Route::Boards
        | Route::CellQueues
        | Route::Schedule
        | Route::Shortages
        | Route::Quality
        | Route::Stock
        | Route::Figures => match role {
            R::Operator | R::LineLead | R::Planner | R::QualityInspector | R::Auditor | R::Admin => Some(Site),
            _ => None,
        },
        Route::Equipment => match role {
            R::Operator | R::LineLead | R::Planner | R::QualityInspector | R::Technician | R::Auditor | R::Admin => {
                Some(Site)
            }
            _ => None,
        },
        // A customer's own, wherever they were made.
        Route::Units => match role {
            R::Device | R::System => None,
            _ => Some(Site),
        },
        Route::WorkOrderEvents => match role {
            R::Operator | R::Technician => Some(Own),
            R::LineLead | R::Planner | R::QualityInspector | R::Dispatcher | R::Auditor | R::Admin => Some(Site),
            _ => None,
        },
        // Part of the command log: those who may dismiss see their sites, the others their own.
        Route::Inbox => match role {
            R::Operator | R::Technician => Some(Own),
            R::LineLead | R::Planner | R::QualityInspector | R::Dispatcher => Some(Site),
            R::Auditor | R::Admin => Some(SiteAndNone),
            _ => None,
        },
        Route::Commands => match role {
            R::Operator | R::Technician | R::Customer | R::Device => Some(Own),
            R::LineLead | R::Planner | R::QualityInspector | R::Dispatcher => Some(Site),
            R::Auditor | R::Admin => Some(SiteAndNone),
            R::System => Some(Everything),
        },
        Route::AuditEvents | Route::AuditProofs => match role {
            R::Auditor | R::Admin => Some(SiteAndNone),
            _ => None,
        },
        // A customer's own, and of those what it may read.
        Route::Tickets => match role {
            R::Operator | R::LineLead => Some(Internal),
            R::Planner | R::QualityInspector | R::Technician | R::Dispatcher => Some(Site),
            R::Customer | R::Auditor | R::Admin => Some(Site),
            _ => None,
        },
        Route::TicketBoards | Route::TechnicianQueues | Route::SlaAtRisk | Route::Backlog => match role {
            R::Operator | R::LineLead => Some(Internal),
            R::Planner | R::QualityInspector | R::Technician | R::Dispatcher | R::Auditor | R::Admin => Some(Site),
            _ => None,
        },
        Route::TicketEvents => match role {
            R::Operator | R::Technician => Some(Own),
            R::LineLead => Some(Internal),
            R::Planner | R::QualityInspector | R::Dispatcher | R::Auditor | R::Admin => Some(Site),
            _ => None,
        },
        Route::MaintenancePlans => match role {
            R::LineLead | R::Planner | R::Technician | R::Dispatcher | R::Auditor | R::Admin => Some(Site),
            _ => None,
        },
        // It says what things cost.
        Route::PartsUsage => match role {
            R::Planner | R::QualityInspector | R::Technician | R::Dispatcher | R::Auditor | R::Admin => Some(Site),
            _ => None,
        },
        Route::My => match role {
            R::Customer => Some(Site),
            _ => None,
        },
        Route::Metrics => match role {
            R::Admin => Some(SiteAndNone),
            _ => None,
        },
    }
}

/// What of a resource the account sees: the most that one of its roles gives. `None` when it may
/// not see the resource at all.
pub fn query_scope(who: &Account, route: Route) -> Option<Scope> {
    if who.disabled {
        return None;
    }
    let best = who.roles.iter().filter_map(|r| sight(*r, route)).max();
    let best = if who.service { Some(Sight::Everything) } else { best }?;
    let customers_only = !who.service && !who.is_staff() && who.has(Role::Customer);
    if customers_only && who.customer_id.is_none() {
        return None;
    }
    Some(Scope {
        sites: if best == Sight::Everything { Sites::All } else { Sites::Some(who.sites.clone()) },
        siteless: matches!(best, Sight::SiteAndNone | Sight::Everything),
        customer: if customers_only { who.customer_id.clone() } else { None },
        internal_only: best == Sight::Internal,
        own_account_only: best == Sight::Own,
        own_too: route == Route::Commands,
    })
}
