// SPDX-License-Identifier: Apache-2.0
// Log filters against blooms and logs.
#include "rpc/log_match.hpp"

#include <algorithm>
#include <utility>

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

/// Precondition: the choices are sorted.
template <class T>
bool is_one_of(const std::vector<T>& choices, const T& value) {
    return choices.empty() || std::binary_search(choices.begin(), choices.end(), value);
}

}  // namespace

LogMatcher::LogMatcher(LogFilter filter) : filter_(std::move(filter)) {
    const auto prepare = [this](auto& choices) {
        if (choices.empty()) return;
        std::sort(choices.begin(), choices.end());
        auto& group = all_of_any_.emplace_back();
        for (const auto& choice : choices) group.push_back(bloom_bits(choice.bytes));
    };
    prepare(filter_.addresses);
    for (auto& position : filter_.topics) prepare(position);
}

uint64_t LogMatcher::size_bytes() const {
    uint64_t size = filter_.size_bytes();
    for (const auto& group : all_of_any_) size += sizeof(group) + group.size() * sizeof(Bits);
    return size;
}

bool LogMatcher::may_match(const Bloom& bloom) const {
    const auto is_set = [&bloom](const Bits& bits) {
        return std::all_of(bits.begin(), bits.end(), [&](uint16_t b) { return has_bit(bloom, b); });
    };
    return std::all_of(all_of_any_.begin(), all_of_any_.end(), [&](const auto& group) {
        return std::any_of(group.begin(), group.end(), is_set);
    });
}

bool LogMatcher::matches(const Log& log) const {
    if (!is_one_of(filter_.addresses, log.address)) return false;
    if (filter_.topics.size() > log.topics.size()) return false;
    for (size_t i = 0; i < filter_.topics.size(); ++i)
        if (!is_one_of(filter_.topics[i], log.topics[i])) return false;
    return true;
}

void for_each_match(const LogMatcher& matcher, const FullBlock& block,
                    const std::function<bool(const LogPlace&)>& visit) {
    if (!matcher.may_match(block.block.header.logs_bloom)) return;
    LogPlace place;
    for (; place.tx_index < block.receipts.size(); ++place.tx_index) {
        const auto& logs = block.receipts[place.tx_index].logs;
        for (place.i = 0; place.i < logs.size(); ++place.i, ++place.log_index)
            if (matcher.matches(logs[place.i]) && !visit(place)) return;
    }
}

const WrittenLogs::Text& WrittenLogs::at(const LogPlace& place) {
    Text& text = texts_[place.log_index];
    if (text != nullptr) return text;
    std::string json;
    JsonWriter writer(json);
    write_log(writer, block_, place, removed_);
    return text = std::make_shared<const std::string>(std::move(json));
}

}  // namespace trainyard::rpc
