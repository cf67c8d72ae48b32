// SPDX-License-Identifier: Apache-2.0
// The ABI's heads and tails.
#include "abi.hpp"

#include "core/hash.hpp"

namespace trainyard::contracts {
namespace {

Bytes word_bytes(const Uint256& value) {
    const Hash h = to_hash(value);
    return {h.begin(), h.end()};
}

}  // namespace

Abi& Abi::word(const Uint256& value) {
    parts_.push_back({false, word_bytes(value)});
    return *this;
}

Abi& Abi::address(const Address& value) {
    return word(to_word(value));
}

Abi& Abi::hash(const Hash& value) {
    return word(from_hash(value));
}

Abi& Abi::bytes(BytesView value) {
    Bytes out = word_bytes(value.size());
    append(out, value);
    out.resize((out.size() + 31) / 32 * 32);
    return tail(std::move(out));
}

Abi& Abi::hashes(const std::vector<Hash>& values) {
    Bytes out = word_bytes(values.size());
    for (const Hash& value : values) append(out, value.bytes);
    return tail(std::move(out));
}

Abi& Abi::tuples(const std::vector<Abi>& values) {
    Abi elements;
    for (const Abi& value : values) elements.dynamic(value);
    Bytes out = word_bytes(values.size());
    append(out, elements.encode());
    return tail(std::move(out));
}

Abi& Abi::tail(Bytes encoded) {
    parts_.push_back({true, std::move(encoded)});
    return *this;
}

Bytes Abi::encode() const {
    Bytes head, tails;
    for (const Part& part : parts_) {
        if (!part.is_tail) {
            append(head, part.bytes);
            continue;
        }
        append(head, word_bytes(parts_.size() * 32 + tails.size()));
        append(tails, part.bytes);
    }
    append(head, tails);
    return head;
}

Bytes call_data(std::string_view signature, const Abi& arguments) {
    const Hash h = keccak256(as_bytes(signature));
    Bytes out(h.begin(), h.begin() + 4);
    append(out, arguments.encode());
    return out;
}

Uint256 word_at(BytesView output, size_t index) {
    return output.size() < 32 * (index + 1) ? Uint256() : from_be(output.subspan(32 * index, 32));
}

Address address_at(BytesView output, size_t index) {
    const Hash h = hash_at(output, index);
    Address out;
    std::copy(h.begin() + 12, h.end(), out.begin());
    return out;
}

Hash hash_at(BytesView output, size_t index) {
    return to_hash(word_at(output, index));
}

std::vector<Uint256> array_at(BytesView output, size_t index) {
    const size_t start = word_at(output, index).low() / 32;
    std::vector<Uint256> out(word_at(output, start).low());
    for (size_t i = 0; i < out.size(); ++i) out[i] = word_at(output, start + 1 + i);
    return out;
}

}  // namespace trainyard::contracts
