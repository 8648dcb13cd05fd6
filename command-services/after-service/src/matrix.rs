//! Which command is possible in which state of a ticket: the transition matrix (2.7), as a table.
//!
//! Owns that table and the check against it, late reports included. It must never know another rule.

use mw_contract::decide::DecisionContext;
use mw_contract::{CommandType, Rejection, TicketState};

use crate::state::Ticket;

/// For how long after the resolution a late report is taken (TK-29).
const LATE_MS: i64 = 24 * 3_600_000;

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Possible {
    /// Always.
    Yes,
    /// Only with a resolution code for which nobody worked; the command itself checks the code.
    NoWork,
    /// Only for what happened before the resolution, and only for a day.
    Late,
    /// Never: `INVALID_STATE`.
    No,
}

use CommandType as C;
use Possible::{Late, No, NoWork, Yes};

/// The states in the order of the columns.
pub const COLUMNS: [TicketState; 11] = [
    TicketState::New,
    TicketState::Triaged,
    TicketState::AwaitingApproval,
    TicketState::Assigned,
    TicketState::Scheduled,
    TicketState::Travelling,
    TicketState::InProgress,
    TicketState::OnHold,
    TicketState::Resolved,
    TicketState::Closed,
    TicketState::Cancelled,
];

/// One row a command. The command that makes a ticket has none.
#[rustfmt::skip]
pub const MATRIX: &[(CommandType, [Possible; 11])] = &[
    //                             New     Triaged Approv. Assig.  Sched.  Travel. InProg. OnHold  Resolv. Closed  Cancel.
    (C::TicketAmend,              [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketComment,            [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes]),
    (C::TicketEscalate,           [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketDeescalate,         [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketMarkDuplicate,      [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No,     No]),
    (C::TicketTriage,             [Yes,    Yes,    No,     Yes,    Yes,    No,     No,     Yes,    No,     No,     No]),
    (C::TicketChangePriority,     [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No,     No]),
    (C::TicketClassifyFault,      [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketCheckWarranty,      [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketOverrideWarranty,   [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketSubmitQuote,        [No,     Yes,    No,     Yes,    Yes,    No,     Yes,    No,     No,     No,     No]),
    (C::TicketApproveQuote,       [No,     No,     Yes,    No,     No,     No,     No,     No,     No,     No,     No]),
    (C::TicketRejectQuote,        [No,     No,     Yes,    No,     No,     No,     No,     No,     No,     No,     No]),
    (C::TicketExpireQuote,        [No,     No,     Yes,    No,     No,     No,     No,     No,     No,     No,     No]),
    (C::TicketAssignTechnician,   [No,     Yes,    No,     No,     No,     No,     No,     No,     No,     No,     No]),
    (C::TicketReassignTechnician, [No,     No,     No,     Yes,    Yes,    Yes,    Yes,    Yes,    No,     No,     No]),
    (C::TicketAcceptAssignment,   [No,     No,     No,     Yes,    Yes,    No,     No,     No,     No,     No,     No]),
    (C::TicketDeclineAssignment,  [No,     No,     No,     Yes,    No,     No,     No,     No,     No,     No,     No]),
    (C::TicketScheduleVisit,      [No,     No,     No,     Yes,    Yes,    No,     No,     No,     No,     No,     No]),
    (C::TicketRescheduleVisit,    [No,     No,     No,     Yes,    Yes,    No,     No,     No,     No,     No,     No]),
    (C::TicketCancelVisit,        [No,     No,     No,     Yes,    Yes,    No,     No,     No,     No,     No,     No]),
    (C::TicketStartTravel,        [No,     No,     No,     Yes,    Yes,    No,     No,     No,     No,     No,     No]),
    (C::TicketArrive,             [No,     No,     No,     No,     No,     Yes,    No,     No,     No,     No,     No]),
    (C::TicketAbortTravel,        [No,     No,     No,     No,     No,     Yes,    No,     No,     No,     No,     No]),
    (C::TicketStartWork,          [No,     No,     No,     Yes,    Yes,    Yes,    Yes,    No,     No,     No,     No]),
    (C::TicketPauseWork,          [No,     No,     No,     No,     No,     No,     Yes,    No,     No,     No,     No]),
    (C::TicketResumeWork,         [No,     No,     No,     No,     No,     No,     Yes,    No,     No,     No,     No]),
    // In `assigned` when the ticket is remote; the command itself checks that.
    (C::TicketRecordDiagnosis,    [No,     No,     No,     Yes,    No,     No,     Yes,    No,     No,     No,     No]),
    (C::TicketRequestParts,       [No,     Yes,    No,     Yes,    Yes,    Yes,    Yes,    Yes,    No,     No,     No]),
    (C::TicketConfirmParts,       [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketReleaseParts,       [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketConsumeParts,       [No,     No,     No,     No,     No,     No,     Yes,    No,     Late,   No,     No]),
    (C::TicketReturnParts,        [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketHold,               [No,     Yes,    No,     Yes,    Yes,    Yes,    Yes,    No,     No,     No,     No]),
    (C::TicketResume,             [No,     No,     No,     No,     No,     No,     No,     Yes,    No,     No,     No]),
    (C::TicketLogWork,            [No,     No,     No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketCorrectWorkLog,     [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketRecordReading,      [No,     No,     No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketReplaceUnit,        [No,     No,     No,     No,     No,     No,     Yes,    No,     No,     No,     No]),
    (C::TicketRequestReplacementOrder,
                                  [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No,     No]),
    (C::TicketLinkReplacementOrder,
                                  [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketConfirmReplacement, [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketFailReplacement,    [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketResolve,            [No,     NoWork, No,     NoWork, NoWork, No,     Yes,    No,     No,     No,     No]),
    (C::TicketVerify,             [No,     No,     No,     No,     No,     No,     No,     No,     Yes,    No,     No]),
    (C::TicketConfirm,            [No,     No,     No,     No,     No,     No,     No,     No,     Yes,    No,     No]),
    (C::TicketClose,              [No,     No,     No,     No,     No,     No,     No,     No,     Yes,    No,     No]),
    (C::TicketReopen,             [No,     No,     No,     No,     No,     No,     No,     No,     Yes,    Yes,    No]),
    (C::TicketRate,               [No,     No,     No,     No,     No,     No,     No,     No,     Yes,    Yes,    No]),
    (C::TicketCancel,             [Yes,    Yes,    Yes,    Yes,    Yes,    No,     No,     Yes,    No,     No,     No]),
    (C::TicketAuthorizeReturn,    [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No,     No]),
    (C::TicketReceiveReturn,      [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketDispositionReturn,  [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    (C::TicketShipBack,           [No,     Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    No,     No]),
    // Timers may come late; a stale one does nothing.
    (C::TicketRaiseSlaWarning,    [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes]),
    (C::TicketBreachSla,          [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes]),
    (C::TicketLink,               [Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes,    Yes]),
];

/// The cell of a command and a state.
pub fn possible(command: CommandType, state: TicketState) -> Possible {
    let row = MATRIX.iter().find(|(c, _)| *c == command).map_or([No; 11], |(_, row)| *row);
    COLUMNS.iter().zip(row).find(|(s, _)| **s == state).map_or(No, |(_, c)| c)
}

/// Is the command possible now? Says whether it is a late report.
///
/// # Errors
/// `INVALID_STATE` with the state and the states in which it is possible.
pub fn check(ticket: &Ticket, command: CommandType, ctx: &DecisionContext<'_>) -> Result<bool, Rejection> {
    match possible(command, ticket.state) {
        Yes | NoWork => Ok(false),
        Late if was_before_resolution(ticket, ctx) => Ok(true),
        _ => Err(refusal(ticket, command)),
    }
}

/// Says in which states a command is possible.
pub fn refusal(ticket: &Ticket, command: CommandType) -> Rejection {
    let allowed: Vec<&str> = COLUMNS.iter().filter(|s| possible(command, **s) == Yes).map(|s| s.as_str()).collect();
    Rejection::invalid_state(command.as_str(), ticket.state.as_str(), &allowed)
}

fn was_before_resolution(ticket: &Ticket, ctx: &DecisionContext<'_>) -> bool {
    ticket
        .resolution
        .as_ref()
        .is_some_and(|r| ctx.occurred_at < r.at && ctx.received_at.since(r.recorded_at) <= LATE_MS)
}

#[cfg(test)]
mod tests;
