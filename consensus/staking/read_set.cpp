// SPDX-License-Identifier: Apache-2.0
// A call of setOf and the strict reading of its answer.
#include "consensus/staking/read_set.hpp"

#include <optional>

#include "consensus/transition/simulate.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus {
namespace {

constexpr size_t kWord = 32;
/// Of a member: operator, three offsets, weight; then each key's length and two words.
constexpr size_t kMemberWords = 5 + 3 * 3;
constexpr uint64_t kGasMax = 100'000'000;  ///< a set of 200 takes about 3 million

/// setOf's answer word by word; whatever differs from the one canonical encoding is an error.
class SetReader {
public:
    explicit SetReader(BytesView data) : data_(data) {}

    Result<std::vector<Validator>, ReadSetError> run() {
        if (data_.size() < 2 * kWord || word(0) != Uint256(kWord)) return malformed();
        const Uint256 count = word(1);
        if (count > Uint256(kValidatorsMax)) return unexpected(ReadSetError::too_many);
        const size_t n = count.low();
        if (data_.size() != kWord * (2 + n * (1 + kMemberWords))) return malformed();
        std::vector<Validator> out;
        for (size_t i = 0; i < n; ++i) {
            const size_t from_list = n + i * kMemberWords;
            if (word(2 + i) != Uint256(kWord * from_list)) return malformed();
            const auto member = read_member(2 + from_list);
            if (!member) return malformed();
            out.push_back(*member);
        }
        return out;
    }

private:
    static Unexpected<ReadSetError> malformed() { return unexpected(ReadSetError::malformed); }

    [[nodiscard]] BytesView bytes(size_t index) const {
        return data_.subspan(index * kWord, kWord);
    }
    [[nodiscard]] Uint256 word(size_t index) const { return from_be(bytes(index)); }

    std::optional<Validator> read_member(size_t at) const {
        Validator v;
        const auto operator_word = bytes(at);
        for (size_t i = 0; i < 12; ++i)
            if (operator_word[i] != 0) return std::nullopt;
        v.address = *fixed_from<Address>(operator_word.subspan(12));
        PublicKey* const keys[] = {&v.consensus_key, &v.vrf_key, &v.p2p_key};
        for (size_t k = 0; k < 3; ++k) {
            const size_t offset = 5 + 3 * k;
            if (word(at + 1 + k) != Uint256(kWord * offset)) return std::nullopt;
            if (word(at + offset) != Uint256(PublicKey::size())) return std::nullopt;
            const auto key = data_.subspan((at + offset + 1) * kWord, 2 * kWord);
            *keys[k] = *fixed_from<PublicKey>(key.first(PublicKey::size()));
            for (const uint8_t padding : key.subspan(PublicKey::size()))
                if (padding != 0) return std::nullopt;
        }
        const Uint256 weight = word(at + 4);
        if (!weight.fits_u64()) return std::nullopt;
        v.stake_gwei = weight.low();
        return v;
    }

    BytesView data_;
};

Bytes set_of_call(Epoch epoch) {
    const Hash selector = keccak256(as_bytes("setOf(uint256)"));
    Bytes data(selector.begin(), selector.begin() + 4);
    append(data, to_hash(Uint256(epoch.value)).bytes);
    return data;
}

}  // namespace

Result<ValidatorSet, ReadSetError> read_set(const state::StateView& view, const ChainConfig& config,
                                            Epoch epoch) {
    BlockEnv env;
    env.gas_limit = kGasMax;
    const ExecutionContext context{config, env, {}};
    CallRequest request;
    request.from = kSystemAddress;
    request.to = address::kStaking;
    request.data = set_of_call(epoch);
    const auto outcome = simulate_call(view, context, request);
    if (!outcome || outcome->status != vm::Status::success || outcome->output.empty())
        return unexpected(ReadSetError::refused);
    auto validators = SetReader(outcome->output).run();
    if (!validators) return unexpected(validators.error());
    auto set = ValidatorSet::make(std::move(*validators));
    if (!set) return unexpected(ReadSetError::bad_set);
    return std::move(*set);
}

std::string_view to_text(ReadSetError error) {
    switch (error) {
        case ReadSetError::refused:
            return "the staking contract has no set for this epoch";
        case ReadSetError::too_many:
            return "more than 200 validators";
        case ReadSetError::malformed:
            return "the staking contract's answer is not a set";
        case ReadSetError::bad_set:
            return "the staking contract's set breaks a rule of sets";
    }
    return "unknown";
}

}  // namespace trainyard::consensus
