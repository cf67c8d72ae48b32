// SPDX-License-Identifier: Apache-2.0
// Errors of the node in geth's words.
#include "rpc/error.hpp"

#include <array>
#include <utility>

#include "core/uint256.hpp"
#include "core/utf8.hpp"

namespace trainyard::rpc {

namespace {

constexpr std::array<uint8_t, 4> kErrorSelector{0x08, 0xc3, 0x79, 0xa0};  // Error(string)
constexpr std::array<uint8_t, 4> kPanicSelector{0x4e, 0x48, 0x7b, 0x71};  // Panic(uint256)
constexpr size_t kWord = 32;

bool starts_with(BytesView data, const std::array<uint8_t, 4>& selector) {
    return data.size() >= 4 && std::equal(selector.begin(), selector.end(), data.begin());
}

std::optional<std::string> error_string(BytesView data) {
    if (!starts_with(data, kErrorSelector)) return std::nullopt;
    const BytesView body = data.subspan(4);
    if (body.size() < 2 * kWord) return std::nullopt;
    const Uint256 offset = from_be(body.first(kWord));
    if (offset != Uint256(kWord)) return std::nullopt;
    const Uint256 length = from_be(body.subspan(kWord, kWord));
    if (length > Uint256(body.size() - 2 * kWord)) return std::nullopt;
    return std::string(as_text(body.subspan(2 * kWord, static_cast<size_t>(length.low()))));
}

/// The panic codes of the Solidity documentation, worded as geth words them.
std::string panic_text(uint64_t code) {
    switch (code) {
        case 0x00:
            return "generic panic";
        case 0x01:
            return "assert(false)";
        case 0x11:
            return "arithmetic underflow or overflow";
        case 0x12:
            return "division or modulo by zero";
        case 0x21:
            return "enum overflow";
        case 0x22:
            return "invalid encoded storage byte array accessed";
        case 0x31:
            return "out-of-bounds array access; popping on an empty array";
        case 0x32:
            return "out-of-bounds access of an array or bytesN";
        case 0x41:
            return "out of memory";
        case 0x51:
            return "uninitialized function";
        default:
            return "unknown panic code: 0x" + to_quantity(Uint256(code)).substr(2);
    }
}

std::optional<std::string> panic_string(BytesView data) {
    if (!starts_with(data, kPanicSelector) || data.size() != 4 + kWord) return std::nullopt;
    const Uint256 code = from_be(data.subspan(4));
    return panic_text(code.fits_u64() ? code.low() : ~0ull);
}

/// A reason may hold any bytes. What is not text, or would control a terminal, is in the data
/// alone.
bool is_printable(std::string_view text) {
    while (!text.empty()) {
        const size_t size = utf8_char_size(text);
        if (size == 0 || is_control(text)) return false;
        text.remove_prefix(size);
    }
    return true;
}

}  // namespace

Error invalid_params(std::string message) {
    return {kInvalidParams, std::move(message)};
}
Error server_error(std::string message) {
    return {kServerError, std::move(message)};
}

std::optional<std::string> revert_reason(BytesView data) {
    auto reason = error_string(data);
    if (!reason) reason = panic_string(data);
    return reason && is_printable(*reason) ? reason : std::nullopt;
}

Error reverted(BytesView data) {
    std::string message = "execution reverted";
    if (const auto reason = revert_reason(data)) message += ": " + *reason;
    return {kReverted, std::move(message), '"' + to_hex0x(data) + '"'};
}

Error to_error(const CallError& error) {
    using Kind = CallError::Kind;
    switch (error.kind) {
        case Kind::unknown_block:
            return server_error("header not found");
        case Kind::state_unavailable:
            return to_error(StateError::unavailable);
        case Kind::reverted:
            return reverted(error.data);
        case Kind::too_slow:
            return {kTimedOut, error.message};
        case Kind::unsupported:
            return {kMethodNotFound, "this node does not support the request: " + error.message};
        case Kind::invalid_tx:
        case Kind::gas_exceeds_allowance:
        case Kind::failed:
            return server_error(error.message);
    }
    ASSERT(false);
}

Error pruned_history() {
    return {kPrunedHistory, "pruned history unavailable"};
}

Error to_error(StateError error) {
    switch (error) {
        case StateError::unknown_block:
            return server_error("header not found");
        case StateError::unavailable:
            return server_error("missing trie node: the state of this block is not kept here");
    }
    ASSERT(false);
}

Error to_error(BlobError error) {
    switch (error) {
        case BlobError::not_found:
            return server_error("blob not found");
        case BlobError::too_large:
            return {kLimitExceeded, "blob too large"};
        case BlobError::quota:
            return {kLimitExceeded, "blob store is full"};
        case BlobError::busy:
            return {kLimitExceeded, "too many blobs are being fetched; ask again in a moment"};
        case BlobError::io:
            return server_error("blob store failed");
        case BlobError::out_of_range:
            return invalid_params("range beyond the end of the blob");
    }
    ASSERT(false);
}

}  // namespace trainyard::rpc
