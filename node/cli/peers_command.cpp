// SPDX-License-Identifier: Apache-2.0
// `trainyard peers`: who a node talks to, who is refused and why; and changes to that.
#include <set>

#include <boost/json.hpp>

#include "node/cli/ask.hpp"
#include "node/cli/commands.hpp"
#include "node/wallet/json_util.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using wallet::member;
using wallet::quantity64;
using wallet::text_member;

std::string queues_of(const json::value& peer) {
    const auto* queues = member(peer, "queues");
    std::string out;
    if (queues == nullptr || !queues->is_object()) return out;
    for (const auto& [lane, bytes] : queues->get_object()) {
        const uint64_t waiting = quantity64(&bytes).value_or(0);
        if (waiting > 0) out += " " + std::string(lane) + " " + std::to_string(waiting) + " B";
    }
    return out.empty() ? "" : "  queued" + out;
}

bool is_set(const json::value& of, std::string_view name) {
    const auto* value = member(of, name);
    return value != nullptr && value->is_bool() && value->get_bool();
}

/// What tells peers apart, as the log has it.
std::string short_id(const json::value& of, std::string_view name = "id") {
    const auto id = text_member(of, name).value_or("");
    return id.size() < 12 ? id : id.substr(4, 8);
}

std::string peer_line(const json::value& peer) {
    const auto* network = member(peer, "network");
    const json::value none = json::object();
    const json::value& net = network == nullptr ? none : *network;
    const bool connected = is_set(peer, "connected");
    const auto sentry = text_member(peer, "sentry");
    std::string where = text_member(net, "remoteAddress").value_or("");
    if (sentry) where = "through " + short_id(peer, "sentry");
    const uint64_t score = quantity64(member(peer, "score")).value_or(0);
    const std::string points = "score " + std::to_string(score);
    std::string out = short_id(peer) + "  ";
    out += connected ? green("up  ") : red("away");
    out += "  " + std::string(is_set(net, "inbound") ? "in " : "out") + "  " +
           text_member(peer, "source").value_or("") + "  " + where + "  " +
           (score < 100 ? yellow(points) : points) + "  " +
           std::to_string(quantity64(member(peer, "roundTripMs")).value_or(0)) + " ms" +
           queues_of(peer);
    if (const auto dropped = quantity64(member(peer, "dropped")).value_or(0); dropped > 0)
        out += "  dropped " + std::to_string(dropped);
    const auto problem = text_member(peer, "lastProblem").value_or("");
    return problem.empty() ? out : out + "  " + dim(problem);
}

std::string ban_line(const json::value& ban) {
    return short_id(ban) + "  " + red("banned") + "  for " +
           seconds_text(quantity64(member(ban, "secondsLeft")).value_or(0)) + ": " +
           text_member(ban, "reason").value_or("");
}

int change(const Output& out, const PeersArgs& args, const std::string& method, json::array params,
           const std::string& done) {
    const auto answer = ask(args.rpc, method, params);
    if (!answer) return out.fail(answer.error());
    out.line(out.json ? json::serialize(*answer) : done);
    return kOk;
}

/// The peer's key as the RPC takes it: of "<key>@host:port", or the one that begins as `peer` does
/// among those that the node knows, whose first byte the list leaves out.
Result<std::string, std::string> key_of(const PeersArgs& args) {
    std::string word = args.peer.substr(0, args.peer.find('@'));
    if (word.starts_with("0x")) word.erase(0, 2);
    if (fixed_from_hex<PublicKey>(word)) return "0x" + word;
    constexpr size_t kLeastDigits = 4;
    if (word.size() < kLeastDigits) return unexpected("'" + word + "' is too short to name a peer");
    std::set<std::string> found;
    for (const char* method : {"admin_peers", "admin_bans"}) {
        const bool is_list = method == std::string_view("admin_peers");
        const auto known = ask(args.rpc, method, is_list ? json::array{true} : json::array{});
        if (!known) return unexpected(known.error());
        if (!known->is_array()) continue;
        for (const auto& peer : known->get_array()) {
            const auto id = text_member(peer, "id").value_or("");
            if (id.size() > 4 && (id.substr(2).starts_with(word) || id.substr(4).starts_with(word)))
                found.insert(id);
        }
    }
    if (found.size() == 1) return *found.begin();
    return unexpected(
        (found.empty() ? "no peer's key begins with '" : "several keys begin with '") + word +
        "'; `trainyard peers` shows them, or give all 66 digits");
}

}  // namespace

int run_peers_list(const Output& out, const PeersArgs& args) {
    const auto self = ask(args.rpc, "admin_nodeInfo", {});
    const auto peers = ask(args.rpc, "admin_peers", {true});
    const auto bans = ask(args.rpc, "admin_bans", {});
    for (const auto* answer : {&self, &peers, &bans})
        if (!*answer) return out.fail(answer->error());
    if (out.json) {
        out.line(
            json::serialize(json::object{{"self", *self}, {"peers", *peers}, {"bans", *bans}}));
        return kOk;
    }
    const auto id = fixed_from_hex<PublicKey>(text_member(*self, "id").value_or(""));
    if (!id) return out.fail("admin_nodeInfo: the answer has no id; is it a node of Trainyard?");
    out.line("this node  " + to_hex(id->bytes) + " at " +
             text_member(*self, "listenAddr").value_or(""));
    if (peers->is_array())
        for (const auto& peer : peers->get_array()) out.line(peer_line(peer));
    if (bans->is_array())
        for (const auto& ban : bans->get_array()) out.line(ban_line(ban));
    return kOk;
}

int run_peers_add(const Output& out, const PeersArgs& args) {
    return change(out, args, "admin_addPeer", {args.peer}, "dialled until it answers");
}

int run_peers_remove(const Output& out, const PeersArgs& args) {
    const auto key = key_of(args);
    if (!key) return out.fail(key.error());
    return change(out, args, "admin_removePeer", {*key}, "no longer dialled");
}

int run_peers_ban(const Output& out, const PeersArgs& args) {
    const auto key = key_of(args);
    if (!key) return out.fail(key.error());
    return change(out, args, "admin_ban", {*key, args.seconds, args.reason},
                  "banned for " + seconds_text(args.seconds));
}

int run_peers_unban(const Output& out, const PeersArgs& args) {
    const auto key = key_of(args);
    if (!key) return out.fail(key.error());
    return change(out, args, "admin_unban", {*key}, "the ban is lifted");
}

}  // namespace trainyard::node::cli
