// SPDX-License-Identifier: Apache-2.0
// JSON-RPC requests and their answers.
#include "node/wallet/eth_client.hpp"

#include <atomic>

#include "core/utf8.hpp"
#include "node/wallet/abi.hpp"
#include "node/wallet/contract_errors.hpp"
#include "node/wallet/http_client.hpp"
#include "node/wallet/json_util.hpp"

namespace trainyard::node::wallet {
namespace {

namespace json = boost::json;

WalletError malformed(std::string_view method) {
    return {WalletErrorCode::malformed,
            "the node's answer to " + std::string(method) + " is not of the right form"};
}

std::string quantity_text(uint64_t value) {
    return to_quantity(Uint256(value));
}

json::object call_object(const CallSpec& call) {
    json::object out;
    if (call.from) out["from"] = to_hex0x(call.from->bytes);
    if (call.to) out["to"] = to_hex0x(call.to->bytes);
    if (!call.value.is_zero()) out["value"] = to_quantity(call.value);
    if (!call.data.empty()) out["data"] = to_hex0x(call.data);
    return out;
}

template <class T>
std::optional<T> fixed_member(const json::value& object, std::string_view name) {
    const auto bytes = data(member(object, name));
    return bytes ? fixed_from<T>(*bytes) : std::nullopt;
}

std::optional<PlacedLog> read_log(const json::value& from) {
    const auto address = fixed_member<Address>(from, "address");
    const auto payload = data(member(from, "data"));
    const auto tx = fixed_member<Hash>(from, "transactionHash");
    const auto block = quantity64(member(from, "blockNumber"));
    const auto* topics = member(from, "topics");
    if (!address || !payload || !tx || !block || topics == nullptr || !topics->is_array())
        return std::nullopt;
    PlacedLog out{{*address, {}, *payload}, *block, *tx};
    for (const auto& entry : topics->get_array()) {
        const auto bytes = data(&entry);
        const auto topic = bytes ? fixed_from<Hash>(*bytes) : std::nullopt;
        if (!topic) return std::nullopt;
        out.log.topics.push_back(*topic);
    }
    return out;
}

std::optional<TxReceipt> read_receipt(const json::value& from) {
    const auto tx = fixed_member<Hash>(from, "transactionHash");
    const auto block = quantity64(member(from, "blockNumber"));
    const auto status = quantity64(member(from, "status"));
    const auto gas = quantity64(member(from, "gasUsed"));
    const auto* logs = member(from, "logs");
    if (!tx || !block || !status || !gas || logs == nullptr || !logs->is_array())
        return std::nullopt;
    TxReceipt out{*tx, *block, *status == 1, *gas, {}, {}, {}};
    out.gas_price_wei = quantity(member(from, "effectiveGasPrice")).value_or(Uint256{});
    out.created = fixed_member<Address>(from, "contractAddress");
    for (const auto& entry : logs->get_array()) {
        auto log = read_log(entry);
        if (!log) return std::nullopt;
        out.logs.push_back(std::move(log->log));
    }
    return out;
}

std::string panic_text(uint64_t code) {
    switch (code) {
        case 0x01:
            return "assertion failed";
        case 0x11:
            return "arithmetic overflow";
        case 0x12:
            return "division by zero";
        case 0x21:
            return "enumerator out of range";
        case 0x32:
            return "index out of range";
        default:
            return "panic " + quantity_text(code);
    }
}

/// What a node or a contract says, for a terminal and a log.
std::string shown(BytesView said) {
    while (!said.empty() && (said.back() == '\n' || said.back() == '\r'))
        said = said.first(said.size() - 1);
    return printable(said, LineEnds::replaced);
}

}  // namespace

std::string revert_text(BytesView payload) {
    if (payload.empty()) return "execution reverted without a reason";
    if (payload.size() < 4) return "execution reverted: " + to_hex0x(payload);
    const auto selector = *fixed_from<FixedBytes<4>>(payload.first(4));
    const auto arguments = payload.subspan(4);
    if (selector == abi_selector("Error(string)")) {
        const auto type = parse_abi_type("(string)");
        if (const auto value = abi_decode(*type, arguments))
            return "execution reverted: " + shown(value->items[0].bytes);
    }
    if (selector == abi_selector("Panic(uint256)") && arguments.size() == 32)
        return "execution reverted: " + panic_text(from_be(arguments).low());
    for (const auto& known : kContractErrors) {
        if (selector != abi_selector(known.signature)) continue;
        std::string text = std::string(known.words) + " (" +
                           std::string(known.signature.substr(0, known.signature.find('('))) + ")";
        const auto type = parse_abi_type(known.signature.substr(known.signature.find('(')));
        const auto value = abi_decode(*type, arguments);
        if (value)
            for (const auto& item : value->items)
                text += " " + (item.bytes.empty() ? to_decimal(item.number) : shown(item.bytes));
        return text;
    }
    return "execution reverted with " +
           to_hex0x(payload.first(std::min<size_t>(payload.size(), 132)));
}

/// For each mebibyte of a blob; the first waits for a node that looks for it.
constexpr uint32_t kBlobPieceMs = 120'000;

struct EthClient::Impl {
    HttpClient http;
    std::string path;
    std::atomic<uint64_t> next_id{1};

    explicit Impl(HttpUrl url) : http(url), path(url.path) {}

    Answer<HttpAnswer> send(const HttpRequest& request) { return http.send(request); }

    Answer<json::value> ask(std::string_view method, json::array params) {
        json::object request{{"jsonrpc", "2.0"},
                             {"id", next_id++},
                             {"method", json::string_view(method.data(), method.size())},
                             {"params", std::move(params)}};
        const std::string text = json::serialize(request);
        HttpRequest message;
        message.path = path;
        message.body = as_bytes(text);
        message.timeout_ms = 30'000;
        auto answer = send(message);
        if (!answer) return unexpected(answer.error());
        auto root = parse_json(as_text(answer->body));
        if (!root || !root->is_object())
            return unexpected(WalletError{WalletErrorCode::malformed,
                                          http.text() + " answered " + std::string(method) +
                                              " with HTTP status " +
                                              std::to_string(answer->status) + " and no JSON"});
        if (const auto* error = member(*root, "error"); error != nullptr && !error->is_null())
            return unexpected(rpc_error(method, *error));
        const auto* result = member(*root, "result");
        if (result == nullptr) return unexpected(malformed(method));
        return *result;
    }

    static WalletError rpc_error(std::string_view method, const json::value& error) {
        const auto said = text_member(error, "message").value_or("no message");
        const auto message = shown(as_bytes(said));
        const auto payload = data(member(error, "data"));
        const auto* code = member(error, "code");
        const bool reverted = (code != nullptr && code->is_int64() && code->get_int64() == 3) ||
                              message.starts_with("execution reverted");
        if (reverted) return {WalletErrorCode::reverted, payload ? revert_text(*payload) : message};
        return {WalletErrorCode::rpc, std::string(method) + ": " + message};
    }

    template <class F>
    auto ask_as(std::string_view method, json::array params, F read)
        -> Answer<typename decltype(read(std::declval<json::value>()))::value_type> {
        const auto value = ask(method, std::move(params));
        if (!value) return unexpected(value.error());
        auto out = read(*value);
        if (!out) return unexpected(malformed(method));
        return std::move(*out);
    }
};

EthClient::EthClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EthClient::~EthClient() = default;

Answer<std::unique_ptr<EthClient>> EthClient::open(std::string_view url) {
    auto parsed = parse_http_url(url);
    if (!parsed) return unexpected(parsed.error());
    return std::unique_ptr<EthClient>(new EthClient(std::make_unique<Impl>(std::move(*parsed))));
}

void EthClient::close() {
    impl_->http.close();
}

std::string EthClient::url() const {
    return impl_->http.text();
}

Answer<uint64_t> EthClient::chain_id() {
    return impl_->ask_as("eth_chainId", {}, [](const auto& v) { return quantity64(&v); });
}

Answer<uint64_t> EthClient::block_number() {
    return impl_->ask_as("eth_blockNumber", {}, [](const auto& v) { return quantity64(&v); });
}

Answer<BlockSummary> EthClient::block(std::string_view tag) {
    return impl_->ask_as(
        "eth_getBlockByNumber", {json::string(tag.data(), tag.size()), false},
        [](const json::value& v) -> std::optional<BlockSummary> {
            const auto number = quantity64(member(v, "number"));
            const auto hash = fixed_member<Hash>(v, "hash");
            const auto root = fixed_member<Hash>(v, "stateRoot");
            const auto time = quantity64(member(v, "timestamp"));
            const auto fee = quantity(member(v, "baseFeePerGas"));
            if (!number || !hash || !root || !time) return std::nullopt;
            return BlockSummary{*number, *hash, *root, *time, fee.value_or(Uint256{})};
        });
}

Answer<Uint256> EthClient::balance(const Address& who) {
    return impl_->ask_as("eth_getBalance", {json::string(to_hex0x(who.bytes)), "latest"},
                         [](const auto& v) { return quantity(&v); });
}

Answer<uint64_t> EthClient::nonce(const Address& who) {
    return impl_->ask_as("eth_getTransactionCount", {json::string(to_hex0x(who.bytes)), "latest"},
                         [](const auto& v) { return quantity64(&v); });
}

Answer<uint64_t> EthClient::next_nonce(const Address& who) {
    return impl_->ask_as("eth_getTransactionCount", {json::string(to_hex0x(who.bytes)), "pending"},
                         [](const auto& v) { return quantity64(&v); });
}

Answer<Bytes> EthClient::call(const CallSpec& call) {
    return impl_->ask_as("eth_call", {call_object(call), "latest"},
                         [](const auto& v) { return data(&v); });
}

Answer<uint64_t> EthClient::estimate_gas(const CallSpec& call) {
    return impl_->ask_as("eth_estimateGas", {call_object(call)},
                         [](const auto& v) { return quantity64(&v); });
}

Answer<Hash> EthClient::send_raw(BytesView signed_tx) {
    return impl_->ask_as("eth_sendRawTransaction", {json::string(to_hex0x(signed_tx))},
                         [](const json::value& v) -> std::optional<Hash> {
                             const auto bytes = data(&v);
                             return bytes ? fixed_from<Hash>(*bytes) : std::nullopt;
                         });
}

Answer<std::optional<TxReceipt>> EthClient::receipt(const Hash& tx) {
    constexpr std::string_view method = "eth_getTransactionReceipt";
    const auto value = impl_->ask(method, {json::string(to_hex0x(tx.bytes))});
    if (!value) return unexpected(value.error());
    if (value->is_null()) return std::optional<TxReceipt>{};
    auto out = read_receipt(*value);
    if (!out) return unexpected(malformed(method));
    return out;
}

Answer<std::vector<PlacedLog>> EthClient::logs(const LogQuery& query) {
    json::array topics;
    for (const auto& topic : query.topics) {
        if (topic)
            topics.emplace_back(to_hex0x(topic->bytes));
        else
            topics.emplace_back(nullptr);
    }
    json::object filter{{"fromBlock", quantity_text(query.from_block)},
                        {"toBlock", quantity_text(query.to_block)},
                        {"address", to_hex0x(query.address.bytes)},
                        {"topics", std::move(topics)}};
    return impl_->ask_as("eth_getLogs", {std::move(filter)},
                         [](const json::value& v) -> std::optional<std::vector<PlacedLog>> {
                             if (!v.is_array()) return std::nullopt;
                             std::vector<PlacedLog> out;
                             for (const auto& entry : v.get_array()) {
                                 auto log = read_log(entry);
                                 if (!log) return std::nullopt;
                                 out.push_back(std::move(*log));
                             }
                             return out;
                         });
}

Answer<Done> EthClient::release_blob(const Hash& id, const Hash& owner) {
    HttpRequest request;
    request.method = "DELETE";
    request.path = "/blob/" + to_hex0x(id.bytes);
    request.blob_owner = to_hex0x(owner.bytes);
    const auto answer = impl_->send(request);
    if (!answer) return unexpected(answer.error());
    if (answer->status / 100 == 2) return Done{};
    return unexpected(WalletError{
        WalletErrorCode::rpc,
        impl_->http.text() + " does not release a blob: HTTP " + std::to_string(answer->status)});
}

Answer<Hash> EthClient::put_blob(BytesView content, const std::optional<Hash>& owner) {
    HttpRequest request;
    request.method = "PUT";
    if (owner) request.blob_owner = to_hex0x(owner->bytes);
    request.path = "/blob";
    request.content_type = "application/octet-stream";
    request.body = content;
    request.timeout_ms = kBlobPieceMs;
    request.is_long = true;
    auto answer = impl_->send(request);
    if (!answer) return unexpected(answer.error());
    const std::string text(as_text(answer->body));
    if (answer->status / 100 != 2)
        return unexpected(WalletError{
            WalletErrorCode::rpc, impl_->http.text() + " refused the blob: HTTP " +
                                      std::to_string(answer->status) + " " + shown(answer->body)});
    // The answer is JSON with the id, or the bare id.
    const auto root = parse_json(text);
    auto id = root ? fixed_member<Hash>(*root, "id") : std::nullopt;
    if (!id) id = fixed_from_hex<Hash>(text.substr(0, text.find_last_not_of("\r\n ") + 1));
    if (!id) return unexpected(malformed("PUT /blob"));
    return *id;
}

Answer<Bytes> EthClient::get_blob(const Hash& id, uint64_t size_bytes_max) {
    HttpRequest request;
    request.method = "GET";
    request.path = "/blob/" + to_hex0x(id.bytes);
    request.timeout_ms = kBlobPieceMs;
    request.is_long = true;
    request.answer_bytes_max = size_bytes_max;
    auto answer = impl_->send(request);
    if (!answer) return unexpected(answer.error());
    if (answer->status == 404)
        return unexpected(WalletError{WalletErrorCode::not_found,
                                      "blob " + to_hex0x(id.bytes) + " is not found at " +
                                          impl_->http.text() + " or its peers"});
    if (answer->status / 100 != 2)
        return unexpected(WalletError{
            WalletErrorCode::rpc,
            "GET /blob: HTTP " + std::to_string(answer->status) + " " + shown(answer->body)});
    return std::move(answer->body);
}

Answer<BlobPlace> EthClient::seek_blob(const Hash& id) {
    return impl_->ask_as("yard_seekBlob", {json::string(to_hex0x(id.bytes))},
                         [](const json::value& v) -> std::optional<BlobPlace> {
                             if (v == "here") return BlobPlace::here;
                             if (v == "sought") return BlobPlace::sought;
                             if (v == "absent") return BlobPlace::absent;
                             return std::nullopt;
                         });
}

Answer<std::string> EthClient::raw(std::string_view method, std::string_view params) {
    const auto parsed = parse_json(params);
    if (!parsed || !parsed->is_array())
        return unexpected(
            WalletError{WalletErrorCode::malformed, "parameters must be a JSON array"});
    const auto value = impl_->ask(method, parsed->get_array());
    if (!value) return unexpected(value.error());
    return json::serialize(*value);
}

}  // namespace trainyard::node::wallet
