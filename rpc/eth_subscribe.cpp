// SPDX-License-Identifier: Apache-2.0
// eth_subscribe and eth_unsubscribe, over WebSocket only.
#include <boost/json/value.hpp>

#include "rpc/method.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

using Topic = Subscriptions::Topic;

Error no_notifications() {
    return {kMethodNotFound, "notifications not supported"};
}

Outcome add(Call& call, Topic topic, const LogFilter& filter) {
    const auto id = call.service.with_subscriptions(
        [&](Subscriptions& s) { return s.add(call.asker.session, topic, filter); });
    if (!id) return Unexpected(Error{kLimitExceeded, "too many subscriptions"});
    call.out.text(*id);
    return Done{};
}

Error wrong_option(std::string_view expected) {
    return invalid_params("invalid argument 1 (option): expected " + std::string(expected));
}

Outcome subscribe(Call& call) {
    if (!call.asker.session) return Unexpected(no_notifications());
    const auto& name = call.args.at<std::string>(0);
    const auto* option = call.args.maybe<SubscribeOption>(1);
    const bool full = option && option->full_txs;
    if (name == "newHeads") return add(call, Topic::heads, {});
    if (name == "logs") {
        if (option && !option->filter) return Unexpected(wrong_option("a filter object"));
        return add(call, Topic::logs, option ? *option->filter : LogFilter{});
    }
    if (name == "newPendingTransactions") {
        if (option && option->filter) return Unexpected(wrong_option("a boolean"));
        return add(call, full ? Topic::full_pending_txs : Topic::pending_txs, {});
    }
    if (name == "syncing") return add(call, Topic::syncing, {});
    return Unexpected(Error{kMethodNotFound, "no \"" + name + "\" subscription in eth namespace"});
}

Outcome unsubscribe(Call& call) {
    if (!call.asker.session) return Unexpected(no_notifications());
    const auto& id = call.args.at<std::string>(0);
    if (!call.service.with_subscriptions(
            [&](Subscriptions& s) { return s.remove(*call.asker.session, id); }))
        return Unexpected(server_error("subscription not found"));
    call.out.boolean(true);
    return Done{};
}

constexpr Method kMethods[] = {
    {"eth_subscribe",
     subscribe,
     {{{"subscription", Kind::text, true}, {"option", Kind::subscribe_option, false}}},
     Shape::text,
     false,
     "push newHeads, logs, newPendingTransactions or syncing over this WebSocket"},
    {"eth_unsubscribe",
     unsubscribe,
     {{{"subscriptionId", Kind::text, true}}},
     Shape::boolean,
     false,
     "end a subscription"},
};

}  // namespace

std::span<const Method> subscribe_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
