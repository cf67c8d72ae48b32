// SPDX-License-Identifier: Apache-2.0
// Log filters against blooms and logs.
#include "rpc/log_match.hpp"

#include <algorithm>

#include "core/hash.hpp"

namespace trainyard::rpc {

namespace {

/// Yellow Paper, equation 31: three 11-bit numbers from the first six bytes of the hash.
std::array<uint16_t, 3> bloom_bits(BytesView value) {
    const Hash hash = keccak256(value);
    std::array<uint16_t, 3> bits{};
    for (size_t i = 0; i < bits.size(); ++i)
        bits[i] = static_cast<uint16_t>((hash[2 * i] << 8 | hash[2 * i + 1]) & 2047);
    return bits;
}

bool has_bit(const Bloom& bloom, uint16_t bit) {
    return (bloom[Bloom::size() - 1 - bit / 8] >> (bit % 8) & 1) != 0;
}

template <class T>
bool is_one_of(const std::vector<T>& choices, const T& value) {
    return choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end();
}

}  // namespace

BloomTest::BloomTest(const LogFilter& filter) {
    const auto add_group = [this](const auto& choices) {
        if (choices.empty()) return;
        auto& group = all_of_any_.emplace_back();
        for (const auto& choice : choices) group.push_back(bloom_bits(choice.bytes));
    };
    add_group(filter.addresses);
    for (const auto& position : filter.topics) add_group(position);
}

bool BloomTest::may_match(const Bloom& bloom) const {
    const auto is_set = [&bloom](const Bits& bits) {
        return std::all_of(bits.begin(), bits.end(), [&](uint16_t b) { return has_bit(bloom, b); });
    };
    return std::all_of(all_of_any_.begin(), all_of_any_.end(), [&](const auto& group) {
        return std::any_of(group.begin(), group.end(), is_set);
    });
}

bool matches(const LogFilter& filter, const Log& log) {
    if (!is_one_of(filter.addresses, log.address)) return false;
    if (filter.topics.size() > log.topics.size()) return false;
    for (size_t i = 0; i < filter.topics.size(); ++i)
        if (!is_one_of(filter.topics[i], log.topics[i])) return false;
    return true;
}

void for_each_match(const LogFilter& filter, const FullBlock& block,
                    const std::function<void(const LogPlace&)>& visit) {
    LogPlace place;
    for (; place.tx_index < block.receipts.size(); ++place.tx_index) {
        const auto& logs = block.receipts[place.tx_index].logs;
        for (place.i = 0; place.i < logs.size(); ++place.i, ++place.log_index)
            if (matches(filter, logs[place.i])) visit(place);
    }
}

}  // namespace trainyard::rpc
