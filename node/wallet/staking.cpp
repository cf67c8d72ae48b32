// SPDX-License-Identifier: Apache-2.0
// One line per call of Staking.
#include "node/wallet/staking.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "node/wallet/market.hpp"
#include "node/wallet/market_abi.hpp"
#include "node/wallet/view_call.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr uint64_t kExitsPerWithdraw = 32;

AbiValue number(uint64_t value) {
    return AbiValue::of(Uint256(value));
}

std::vector<Address> addresses_of(const AbiValue& list) {
    std::vector<Address> out;
    for (const auto& item : list.items) out.push_back(item.address());
    return out;
}

constexpr std::string_view kCandidate = "candidate(address)";
constexpr char kCandidateView[] =
    "((bool,bool,bool,uint64,uint16,uint256,uint256,uint256,uint256,uint256,uint32,uint32))";

Candidate candidate_of(const Address& who, const AbiValue& answer) {
    const auto& c = answer[0];
    const auto yes = [&](size_t i) { return !c[i].number.is_zero(); };
    return {who,         yes(0),      yes(1),      yes(2),     c[3].u64(),  c[4].u32(), c[5].number,
            c[6].number, c[7].number, c[8].number, c[9].u64(), c[10].u32(), c[11].u32()};
}

/// (x, y, v, r, s) of one key and its proof.
AbiValue proven_key(const SecretKey& key, const Hash& digest) {
    const auto point = whole_point(*public_key(key));
    ASSERT(point.has_value());
    const auto proof = sign(key, digest);
    const auto word = [](BytesView bytes) { return AbiValue::of(*fixed_from<Hash>(bytes)); };
    return AbiValue::of_items(
        {word(BytesView(point->bytes).first(32)), word(BytesView(point->bytes).subspan(32)),
         number(27u + proof.y_parity), word(BytesView(proof.rs.bytes).first(32)),
         word(BytesView(proof.rs.bytes).subspan(32))});
}

}  // namespace

Hash possession_digest(uint64_t chain_id, const Address& operator_address, uint64_t kind) {
    Bytes bytes;
    append(bytes, keccak256(as_bytes("trainyard.possession.1")).bytes);
    for (const Uint256& word : {Uint256(chain_id), from_be(kStaking.bytes),
                                from_be(operator_address.bytes), Uint256(kind)})
        append(bytes, to_hash(word).bytes);
    return keccak256(bytes);
}

Bytes candidate_call(const Address& who) {
    return call_data(kCandidate, {AbiValue::of(who)});
}

std::optional<Candidate> candidate_from(const Address& who, BytesView answer) {
    const auto type = parse_abi_type(kCandidateView);
    const auto value = type ? abi_decode(*type, answer) : unexpected(AbiError::bad_type);
    if (!value) return std::nullopt;
    return candidate_of(who, *value);
}

struct StakingApi::Impl {
    std::unique_ptr<EthClient> client;
    TxSender sender;

    Impl(std::unique_ptr<EthClient> c, const SecretKey& key, SenderOptions sending)
        : client(std::move(c)), sender(*client, key, std::move(sending)) {}

    template <class T, class F>
    Answer<T> read(std::string_view signature, std::vector<AbiValue> arguments, const char* returns,
                   F convert) {
        const auto value = ask(*client, {kStaking, signature, std::move(arguments), returns});
        if (!value) return unexpected(value.error());
        return convert(*value);
    }
    Answer<TxReceipt> send(std::string_view signature, std::vector<AbiValue> arguments,
                           const Uint256& value = {}) {
        return sender.send({kStaking, value, call_data(signature, std::move(arguments))});
    }
};

StakingApi::StakingApi(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StakingApi::~StakingApi() = default;

Answer<std::unique_ptr<StakingApi>> StakingApi::open(std::string_view url, const SecretKey& key,
                                                     SenderOptions sending) {
    auto client = EthClient::open(url);
    if (!client) return unexpected(client.error());
    return std::unique_ptr<StakingApi>(
        new StakingApi(std::make_unique<Impl>(std::move(*client), key, std::move(sending))));
}

Address StakingApi::self() const {
    return impl_->sender.address();
}

Answer<Candidate> StakingApi::candidate(const Address& who) {
    return impl_->read<Candidate>(kCandidate, {AbiValue::of(who)}, kCandidateView,
                                  [&](const AbiValue& v) { return candidate_of(who, v); });
}

Answer<Delegation> StakingApi::delegation(const Address& at, const Address& who) {
    return impl_->read<Delegation>("delegation(address,address)",
                                   {AbiValue::of(at), AbiValue::of(who)},
                                   "(uint256,uint256,uint256)", [](const AbiValue& v) {
                                       return Delegation{v[0].number, v[1].number, v[2].number};
                                   });
}

Answer<std::vector<Exit>> StakingApi::exits(const Address& at, const Address& who) {
    return impl_->read<std::vector<Exit>>("unbonding(address,address)",
                                          {AbiValue::of(at), AbiValue::of(who)},
                                          "((uint256,uint64)[])", [](const AbiValue& v) {
                                              std::vector<Exit> out;
                                              for (const auto& item : v[0].items)
                                                  out.push_back({item[0].number, item[1].u64()});
                                              return out;
                                          });
}

Answer<Uint256> StakingApi::rewards(const Address& who) {
    return impl_->read<Uint256>("rewardsOf(address)", {AbiValue::of(who)}, "(uint256)",
                                [](const AbiValue& v) { return v[0].number; });
}

Answer<std::vector<Address>> StakingApi::contenders() {
    return impl_->read<std::vector<Address>>("contenders()", {}, "(address[])",
                                             [](const AbiValue& v) { return addresses_of(v[0]); });
}

Answer<std::vector<SeatWeight>> StakingApi::next_set(uint64_t* epoch) {
    const auto last = impl_->read<uint64_t>("lastEpoch()", {}, "(uint256)",
                                            [](const AbiValue& v) { return v[0].u64(); });
    if (!last) return unexpected(last.error());
    *epoch = *last;
    return impl_->read<std::vector<SeatWeight>>(
        "setOf(uint256)", {number(*last)}, "((address,bytes,bytes,bytes,uint256)[])",
        [](const AbiValue& v) {
            std::vector<SeatWeight> out;
            for (const auto& item : v[0].items) out.push_back({item[0].address(), item[4].u64()});
            return out;
        });
}

Answer<std::vector<Address>> StakingApi::members() {
    return validator_accounts(*impl_->client);
}

Answer<uint64_t> StakingApi::block_number() {
    return impl_->client->block_number();
}

Answer<TxReceipt> StakingApi::join(const ValidatorKeys& keys, uint32_t commission_bps,
                                   const Uint256& stake_wei) {
    const auto chain_id = impl_->client->chain_id();
    if (!chain_id) return unexpected(chain_id.error());
    AbiValue list;
    uint64_t kind = 0;
    for (const SecretKey* key : {&keys.consensus, &keys.vrf, &keys.p2p})
        list.items.push_back(proven_key(*key, possession_digest(*chain_id, self(), kind++)));
    return impl_->send("register((bytes32,bytes32,uint8,bytes32,bytes32)[3],uint16)",
                       {std::move(list), number(commission_bps)}, stake_wei);
}

Answer<TxReceipt> StakingApi::deposit(const Address& to, const Uint256& wei) {
    return impl_->send("deposit(address)", {AbiValue::of(to)}, wei);
}
Answer<TxReceipt> StakingApi::unbond(const Uint256& wei) {
    return impl_->send("unbond(uint256)", {AbiValue::of(wei)});
}
Answer<TxReceipt> StakingApi::delegate(const Address& to, const Uint256& wei) {
    return impl_->send("delegate(address)", {AbiValue::of(to)}, wei);
}
Answer<TxReceipt> StakingApi::undelegate(const Address& at, const Uint256& shares) {
    return impl_->send("undelegate(address,uint256)", {AbiValue::of(at), AbiValue::of(shares)});
}
Answer<TxReceipt> StakingApi::withdraw(const Address& at) {
    return impl_->send("withdraw(address,uint256)", {AbiValue::of(at), number(kExitsPerWithdraw)});
}
Answer<TxReceipt> StakingApi::claim(const Address& at) {
    return impl_->send("claim(address)", {AbiValue::of(at)});
}
Answer<TxReceipt> StakingApi::set_commission(uint32_t bps) {
    return impl_->send("setCommission(uint16)", {number(bps)});
}
Answer<TxReceipt> StakingApi::unjail() {
    return impl_->send("unjail()", {});
}
Answer<TxReceipt> StakingApi::slash_double_vote(const Address& who, BytesView votes) {
    return impl_->send("slashDoubleVote(address,bytes)",
                       {AbiValue::of(who), AbiValue::of_bytes(votes)});
}

void StakingApi::close() {
    impl_->client->close();
}

}  // namespace trainyard::node::wallet
