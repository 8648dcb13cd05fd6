//! Repair tickets: one file a command or small family. The clocks of the service level agreement
//! follow from what was decided, in one place: [`crate::sla`].

pub mod amend;
pub mod assignment;
pub mod cancel;
pub mod clock;
pub mod close;
pub mod comment;
pub mod consume_parts;
pub mod diagnosis;
pub mod duplicate;
pub mod escalate;
pub mod fault;
pub mod hold;
pub mod link;
pub mod open;
pub mod parts;
pub mod quote;
pub mod rate;
pub mod reading;
pub mod reopen;
pub mod replace_unit;
pub mod replacement_order;
pub mod resolve;
pub mod rma;
pub mod travel;
pub mod triage;
pub mod verify;
pub mod visit;
pub mod warranty;
pub mod work;
pub mod work_log;

use mw_contract::decide::{Decision, DecisionContext};
use mw_contract::{Command, Rejection};

use crate::rules::Facts;
use crate::sla;
use crate::state::AfterServiceState;

/// Decides a command on a ticket.
///
/// # Errors
/// As the rules of the command say.
pub fn decide(
    facts: &Facts<'_>,
    state: &AfterServiceState,
    command: &Command,
    ctx: &DecisionContext<'_>,
) -> Result<Decision, Rejection> {
    let mut decision = match command {
        Command::TicketOpen(p) => open::open(facts, state, p, ctx),
        Command::TicketAmend(p) => amend::amend(facts, state, p, ctx),
        Command::TicketComment(p) => comment::comment(facts, state, p, ctx),
        Command::TicketMarkDuplicate(p) => duplicate::mark(facts, state, p, ctx),
        Command::TicketTriage(p) => triage::triage(facts, state, p, ctx),
        Command::TicketChangePriority(p) => triage::change_priority(facts, state, p, ctx),
        Command::TicketClassifyFault(p) => fault::classify(facts, state, p, ctx),
        Command::TicketCheckWarranty(p) => warranty::check(facts, state, p, ctx),
        Command::TicketOverrideWarranty(p) => warranty::override_(facts, state, p, ctx),
        Command::TicketSubmitQuote(p) => quote::submit(facts, state, p, ctx),
        Command::TicketApproveQuote(p) => quote::approve(facts, state, p, ctx),
        Command::TicketRejectQuote(p) => quote::reject(facts, state, p, ctx),
        Command::TicketExpireQuote(p) => quote::expire(facts, state, p, ctx),
        Command::TicketAssignTechnician(p) => assignment::assign(facts, state, p, ctx),
        Command::TicketReassignTechnician(p) => assignment::reassign(facts, state, p, ctx),
        Command::TicketAcceptAssignment(p) => assignment::accept(facts, state, p, ctx),
        Command::TicketDeclineAssignment(p) => assignment::decline(facts, state, p, ctx),
        Command::TicketScheduleVisit(p) => visit::schedule(facts, state, p, ctx),
        Command::TicketRescheduleVisit(p) => visit::reschedule(facts, state, p, ctx),
        Command::TicketCancelVisit(p) => visit::cancel(facts, state, p, ctx),
        Command::TicketStartTravel(p) => travel::start(facts, state, p, ctx),
        Command::TicketArrive(p) => travel::arrive(facts, state, p, ctx),
        Command::TicketAbortTravel(p) => travel::abort(facts, state, p, ctx),
        Command::TicketStartWork(p) => work::start(facts, state, p, ctx),
        Command::TicketPauseWork(p) => work::pause(facts, state, p, ctx),
        Command::TicketResumeWork(p) => work::resume(facts, state, p, ctx),
        Command::TicketRecordDiagnosis(p) => diagnosis::record(facts, state, p, ctx),
        Command::TicketRequestParts(p) => parts::request(facts, state, p, ctx),
        Command::TicketConfirmParts(p) => parts::confirm(facts, state, p, ctx),
        Command::TicketReleaseParts(p) => parts::release(facts, state, p, ctx),
        Command::TicketReturnParts(p) => parts::give_back(facts, state, p, ctx),
        Command::TicketConsumeParts(p) => consume_parts::consume(facts, state, p, ctx),
        Command::TicketHold(p) => hold::hold(facts, state, p, ctx),
        Command::TicketResume(p) => hold::resume(facts, state, p, ctx),
        Command::TicketLogWork(p) => work_log::log(facts, state, p, ctx),
        Command::TicketCorrectWorkLog(p) => work_log::correct(facts, state, p, ctx),
        Command::TicketRecordReading(p) => reading::record(facts, state, p, ctx),
        Command::TicketReplaceUnit(p) => replace_unit::replace(facts, state, p, ctx),
        Command::TicketRequestReplacementOrder(p) => replacement_order::request(facts, state, p, ctx),
        Command::TicketLinkReplacementOrder(p) => replacement_order::link(facts, state, p, ctx),
        Command::TicketConfirmReplacement(p) => replacement_order::confirm(facts, state, p, ctx),
        Command::TicketFailReplacement(p) => replacement_order::fail(facts, state, p, ctx),
        Command::TicketCancel(p) => cancel::cancel(facts, state, p, ctx),
        Command::TicketResolve(p) => resolve::resolve(facts, state, p, ctx),
        Command::TicketVerify(p) => verify::verify(facts, state, p, ctx),
        Command::TicketConfirm(p) => close::confirm(facts, state, p, ctx),
        Command::TicketClose(p) => close::close(facts, state, p, ctx),
        Command::TicketReopen(p) => reopen::reopen(facts, state, p, ctx),
        Command::TicketRate(p) => rate::rate(facts, state, p, ctx),
        Command::TicketEscalate(p) => escalate::escalate(facts, state, p, ctx),
        Command::TicketDeescalate(p) => escalate::de_escalate(facts, state, p, ctx),
        Command::TicketAuthorizeReturn(p) => rma::authorize(facts, state, p, ctx),
        Command::TicketReceiveReturn(p) => rma::receive(facts, state, p, ctx),
        Command::TicketDispositionReturn(p) => rma::disposition(facts, state, p, ctx),
        Command::TicketShipBack(p) => rma::ship_back(facts, state, p, ctx),
        Command::TicketRaiseSlaWarning(p) => clock::warn(facts, state, p, ctx),
        Command::TicketBreachSla(p) => clock::breach(facts, state, p, ctx),
        Command::TicketLink(p) => link::link(facts, state, p, ctx),
        other => Err(crate::foreign(other.command_type())),
    }?;
    sla::follow(facts, state, &mut decision, ctx);
    Ok(decision)
}
