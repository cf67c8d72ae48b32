// SPDX-License-Identifier: Apache-2.0
// From a body to its answer: parse, look up, decode, call, and the rules of batches.
#include "rpc/server.hpp"

#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "rpc/envelope.hpp"
#include "rpc/method.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace json = boost::json;

namespace {

constexpr size_t kDepthMax = 32;
constexpr size_t kMethodNameShownMax = 64;

Result<std::string, Error> run(Service& service, const Envelope& request, const Asker& asker) {
    const Method* method = find_method(request.method);
    if (!method)
        return Unexpected(
            Error{kMethodNotFound, "the method " +
                                       std::string(request.method.substr(0, kMethodNameShownMax)) +
                                       " does not exist/is not available"});
    static const json::array kNone;
    const auto args = decode_args(method->params, request.params ? *request.params : kNone);
    if (!args) return Unexpected(args.error());
    std::string result;
    JsonWriter writer(result);
    Call call{service, service.backend(), *args, writer, asker};
    if (const auto done = method->handler(call); !done) return Unexpected(done.error());
    return result;
}

/// Appends the answer to one item; nothing for a notification.
void answer_item(Service& service, const json::value& item, std::string_view source,
                 const Asker& asker, std::string& out) {
    const auto request = read_envelope(item, source);
    if (!request) return write_error(out, request.error().id, request.error().error);
    const auto result = run(service, *request, asker);
    if (request->id.empty()) return;
    result ? write_answer(out, request->id, *result)
           : write_error(out, request->id, result.error());
}

std::string only_error(int code, std::string message) {
    std::string out;
    write_error(out, "null", {code, std::move(message)});
    return out;
}

void refuse_item(const json::value& item, std::string_view source, const Error& error,
                 std::string& out) {
    const auto request = read_envelope(item, source);
    if (!request) return write_error(out, request.error().id, request.error().error);
    if (!request->id.empty()) write_error(out, request->id, error);
}

std::string answer_batch(Service& service, const json::array& batch, std::string_view source,
                         const Asker& asker) {
    const auto& options = service.options();
    if (batch.empty()) return only_error(kInvalidRequest, "empty batch");
    if (batch.size() > options.batch_items_max)
        return only_error(
            kInvalidRequest,
            "batch too large: at most " + std::to_string(options.batch_items_max) + " requests");
    const auto sources = split_array(source);
    const uint64_t end_ms = options.now_ms() + options.batch_ms;
    std::string out = "[";
    bool is_full = false;
    for (size_t i = 0; i < batch.size(); ++i) {
        const auto item_source = i < sources.size() ? sources[i] : std::string_view();
        std::string answer;
        const bool is_late = !is_full && options.now_ms() > end_ms;
        if (is_late)
            refuse_item(batch[i], item_source, {kTimedOut, "request timed out"}, answer);
        else if (!is_full)
            answer_item(service, batch[i], item_source, asker, answer);
        if (is_full || out.size() + answer.size() > options.response_bytes_max) {
            is_full = true;
            answer.clear();
            refuse_item(batch[i], item_source, {kResponseTooLarge, "response too large"}, answer);
        }
        if (!answer.empty() && out.size() > 1) out += ',';
        out += answer;
    }
    if (out.size() == 1) return "";
    out += ']';
    return out;
}

std::string answer_body(Service& service, std::string_view body, const Asker& asker) {
    if (body.size() > service.options().request_bytes_max)
        return only_error(kInvalidRequest, "request too large");
    json::monotonic_resource memory;
    json::parse_options limits;
    limits.max_depth = kDepthMax;
    json::error_code failed;
    const auto parsed =
        json::parse(json::string_view(body.data(), body.size()), failed, &memory, limits);
    if (failed) return only_error(kParseError, "parse error: " + failed.message());
    if (parsed.is_array()) return answer_batch(service, parsed.get_array(), body, asker);
    std::string out;
    answer_item(service, parsed, body, asker, out);
    return out;
}

}  // namespace

Server::Server(Backend& backend, Options options)
    : service_(std::make_unique<Service>(backend, std::move(options))) {}

Server::~Server() = default;

std::string Server::handle(std::string_view body, const Asker& asker) {
    auto answer = answer_body(*service_, body, asker);
    const auto& session = asker.session;
    if (!session) return answer;
    // A subscriber learns its id before the first event under it, and misses none after that:
    // events are pushed under the same lock.
    service_->with_subscriptions([&](Subscriptions& s) {
        if (!answer.empty()) session->push(std::make_shared<const std::string>(std::move(answer)));
        s.activate(*session);
    });
    return "";
}

void Server::close(const Session& session) {
    service_->with_subscriptions([&](Subscriptions& s) { s.close(session); });
}

void Server::on_head(const std::vector<BlockPtr>& removed, const std::vector<BlockPtr>& added) {
    service_->on_head(removed, added);
}

void Server::on_pending_tx(const PooledTx& tx) {
    service_->on_pending_tx(tx);
}

void Server::on_syncing(const std::optional<SyncStatus>& status) {
    service_->on_syncing(status);
}

void Server::stop() {
    service_->stop();
}

}  // namespace trainyard::rpc
