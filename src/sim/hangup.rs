//! The end of a leg: its states, its last events in their usual order, its streams' Close.

use std::sync::Arc;

use super::{
    World,
    channel::{Channel, Leg, Stage, q850},
    event::now_us,
    hub::lock,
    report::EndedBy,
    slot::Control,
};

impl World {
    /// Ends a leg; `false`: it was over already.
    pub(super) fn hang_up(&self, channel: &Arc<Channel>, cause: &str, by: EndedBy) -> bool {
        let twin = {
            let mut leg = lock(&channel.leg);
            if leg.is_over() {
                return false;
            }
            leg.hangup_us = now_us();
            leg.cause = Some(cause.to_owned());
            leg.stage = Stage::HungUp;
            if !channel.name.starts_with("loopback/") {
                sip_variables(&mut leg, cause, by);
            }
            self.note_end(channel, cause, by);
            self.publish_end(channel, &mut leg);
            leg.twin.take()
        };
        lock(&self.channels).remove(&channel.uuid);
        channel.ended.cancel();
        if let Some(twin) = twin.and_then(|uuid| self.channel(&uuid)) {
            self.hang_up(&twin, cause, by);
        }
        true
    }

    /// HANGUP to DESTROY, in the usual order.
    fn publish_end(&self, channel: &Channel, leg: &mut Leg) {
        self.hub.publish(channel.event("CHANNEL_HANGUP", leg));
        if let Some(was) = leg.player.abort() {
            self.playback_stopped(channel, leg, &was, false);
        }
        if let Some(app_uuid) = leg.parked.take() {
            self.hub.publish(channel.event("CHANNEL_UNPARK", leg));
            self.publish_park_over(channel, leg, &app_uuid);
        }
        for slot in std::mem::take(&mut leg.streams) {
            // A stream that is not up yet closes as soon as it is: its controls have ended.
            let _ = slot.control.try_send(Control::Stop { text: None, done: None });
            self.publish_bug_stop(channel, leg, slot.module);
        }
        leg.stage = Stage::Reporting;
        self.hub.publish(channel.event("CHANNEL_HANGUP_COMPLETE", leg));
        self.hub.publish(channel.event("CHANNEL_DESTROY", leg));
    }

    pub(super) fn publish_park_over(&self, channel: &Channel, leg: &Leg, app_uuid: &str) {
        let over = channel.event("CHANNEL_EXECUTE_COMPLETE", leg).with("Application", "park");
        self.hub.publish(over.with("Application-Response", "_none_").with("Application-UUID", app_uuid));
    }

    fn note_end(&self, channel: &Channel, cause: &str, by: EndedBy) {
        self.report.call(&channel.uuid, Some(format!("ends, {cause} ({by:?})")), |call, now| {
            call.ended_ms = Some(now);
            call.hangup_cause = Some(cause.to_owned());
            call.ended_by = Some(by);
        });
    }
}

/// What `mod_sofia` notes of the end.
fn sip_variables(leg: &mut Leg, cause: &str, by: EndedBy) {
    let answered = leg.is_answered();
    let remote = by == EndedBy::Callee;
    let disposition = match (answered, remote) {
        (true, true) => "recv_bye",
        (true, false) => "send_bye",
        (false, true) => "recv_refuse",
        (false, false) => "send_cancel",
    };
    leg.set_var("sip_hangup_disposition", disposition);
    let status = match cause {
        _ if answered => return,
        "USER_BUSY" => "486",
        "CALL_REJECTED" => "603",
        "UNALLOCATED_NUMBER" | "NO_ROUTE_DESTINATION" => "404",
        "SUBSCRIBER_ABSENT" => "480",
        "NORMAL_TEMPORARY_FAILURE" => "503",
        _ if !remote => "487",
        _ => "500",
    };
    leg.set_var("sip_invite_failure_status", status);
    if remote {
        leg.set_var("sip_term_status", status);
        leg.set_var("proto_specific_hangup_cause", &format!("sip:{status}"));
        leg.set_var("sip_term_cause", &q850(cause).to_string());
    }
}
