// SPDX-License-Identifier: Apache-2.0
// The contracts beside the market: beacon, registries, helpers; and receivers that mean
// harm.
#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "market.hpp"

namespace trainyard::contracts {
namespace {

const Address kProvider = actor("provider");
const Address kClient = actor("client");
const Address kAnyone = actor("anyone");

struct OtherFixture : testing::Test {
    Market market{4};

    Sent send(const Address& from, const std::string& contract, std::string_view signature,
              const Abi& args = {}, const Uint256& value = 0) {
        return market.chain.send(from, market.chain.address(contract), call_data(signature, args),
                                 value);
    }
    Bytes view(const std::string& contract, std::string_view signature, const Abi& args = {}) {
        return market.chain.call(market.chain.address(contract), call_data(signature, args));
    }
    /// A job of one segment, trained, paid and closed for `client`.
    void finish_job(const Address& client) {
        JobSpec spec;
        spec.segments = 1;
        const uint64_t job = market.post(client, spec);
        ASSERT_TRUE(market.take(kProvider, job).ok);
        const FakeSegment made(spec, 0, "truth");
        ASSERT_TRUE(market.commit(kProvider, job, 0, made).ok);
        market.audit_honestly(job, 0, made);
        ASSERT_TRUE(market.finalize(job).ok);
        ASSERT_TRUE(market.simple(kAnyone, "close", job).ok);
    }
};
using beacon = OtherFixture;
using provider_registry = OtherFixture;
using model_registry = OtherFixture;
using multicall = OtherFixture;
using deployer = OtherFixture;
using receivers = OtherFixture;

TEST_F(beacon, keeps_what_the_protocol_says_and_nobody_else) {
    market.chain.mine(16);
    EXPECT_EQ(hash_at(view("Beacon", "seed(uint256)", Abi().word(1)), 0),
              keccak256(as_bytes("beacon 1")));
    EXPECT_EQ(word_at(view("Beacon", "seed(uint256)", Abi().word(99)), 0), 0);
    EXPECT_EQ(word_at(view("Beacon", "epochLength()"), 0), 8);
    EXPECT_EQ(word_at(view("Beacon", "epochOf(uint256)", Abi().word(6)), 0), 0);
    EXPECT_EQ(word_at(view("Beacon", "epochOf(uint256)", Abi().word(7)), 0), 1);
    EXPECT_EQ(word_at(view("Beacon", "epochOf(uint256)", Abi().word(14)), 0), 1);
    const Bytes write = Abi().word(9).hash(keccak256(as_bytes("mine"))).encode();
    const Address& at = market.chain.address("Beacon");
    EXPECT_EQ(market.chain.send(kAnyone, at, write).error(), "NotSystem");
    EXPECT_EQ(market.chain.send(consensus::kSystemAddress, at, Bytes(63, 0)).error(), "BadInput");
    const Bytes again = Abi().word(1).hash(keccak256(as_bytes("other"))).encode();
    EXPECT_EQ(market.chain.send(consensus::kSystemAddress, at, again).error(), "BadInput");
}

TEST_F(provider_registry, stake_comes_and_goes_but_never_what_is_reserved) {
    market.add_provider(kProvider, kCoin * 10);
    ASSERT_TRUE(market.take(kProvider, market.post(kClient, JobSpec{})).ok);
    const auto unstake = [&](const Uint256& amount) {
        return send(kProvider, "ProviderRegistry", "requestUnstake(uint256)", Abi().word(amount));
    };
    EXPECT_EQ(unstake(kCoin * 3).error(), "NotEnoughStake");
    ASSERT_TRUE(unstake(kCoin * 2).ok);
    EXPECT_EQ(send(kProvider, "ProviderRegistry", "withdraw()").error(), "NotYet");
    market.chain.mine(400);
    ASSERT_TRUE(send(kProvider, "ProviderRegistry", "withdraw()").ok);
    EXPECT_EQ(market.chain.balance(kProvider), kCoin * 2);
    for (const char* name :
         {"reserve(address,uint256)", "release(address,uint256)", "slash(address,uint256)"})
        EXPECT_EQ(
            send(kProvider, "ProviderRegistry", name, Abi().address(kProvider).word(1)).error(),
            "NotMarket");
}

TEST_F(provider_registry, rejects_too_little_stake_and_too_long_texts) {
    const auto join = [&](const std::string& name, const Uint256& value) {
        market.chain.give(kProvider, value);
        const Abi args = Abi().text(name).text("").text("");
        return send(kProvider, "ProviderRegistry", "register(string,string,string)", args, value)
            .error();
    };
    EXPECT_EQ(join("p", kCoin - 1), "NotEnoughStake");
    EXPECT_EQ(join("", kCoin), "BadValue(name)");
    EXPECT_EQ(join(std::string(257, 'x'), kCoin), "BadValue(name)");
    EXPECT_EQ(send(kProvider, "ProviderRegistry", "addStake()").error(), "NotRegistered");
}

TEST_F(model_registry, the_token_tells_what_it_was_made_from) {
    market.add_provider(kProvider, kCoin * 100);
    finish_job(kClient);
    const Bytes out = view("ModelRegistry", "record(uint256)", Abi().word(0));
    const BytesView record = BytesView(out).subspan(32);
    EXPECT_EQ(word_at(record, 0), 0) << "job";
    EXPECT_EQ(hash_at(record, 3), keccak256(as_bytes("data")));
    EXPECT_EQ(hash_at(record, 4), FakeSegment(JobSpec{}, 0, "truth").last());
    Bytes chained(32, 0);
    append(chained, market.segment(0, 0).root.bytes);
    EXPECT_EQ(hash_at(record, 6), keccak256(chained));
    EXPECT_EQ(array_at(record, 9), std::vector<Uint256>{to_word(kProvider)});
    EXPECT_EQ(address_at(view("ModelRegistry", "ownerOf(uint256)", Abi().word(0)), 0), kClient);
    const Abi first = Abi().word(0).word(0);
    EXPECT_EQ(hash_at(view("ModelRegistry", "segmentRoot(uint256,uint32)", first), 0),
              market.segment(0, 0).root);
    const Bytes uri = view("ModelRegistry", "tokenURI(uint256)", Abi().word(0));
    EXPECT_EQ(as_text(uri).substr(64, 29), "data:application/json;base64,");
    for (uint32_t id : {0x80ac58cdu, 0x2a55205au, 0x49064906u, 0x01ffc9a7u, 0x5b5e139fu}) {
        const Abi arg = Abi().word(Uint256(id) << 224);
        EXPECT_EQ(word_at(view("ModelRegistry", "supportsInterface(bytes4)", arg), 0), 1)
            << std::hex << id;
    }
}

TEST_F(model_registry, words_of_the_payer_are_bounded_and_its_own) {
    market.add_provider(kProvider, kCoin * 100);
    finish_job(kClient);
    finish_job(kClient);
    const auto title = [&](const Address& who, std::string_view text) {
        return send(who, "ModelRegistry", "setTitle(uint256,string)", Abi().word(1).text(text))
            .error();
    };
    EXPECT_EQ(title(kAnyone, "mine"), "NotPayer");
    EXPECT_EQ(title(kClient, "\",\"x\":\""), "BadValue(title)");
    EXPECT_EQ(title(kClient, "Licences v2"), "");
    const auto parents = [&](const Uint256& parent) {
        Abi list;  // uint256[] has the encoding of bytes32[]
        list.word(1).hashes({to_hash(parent)});
        return send(kClient, "ModelRegistry", "setParents(uint256,uint256[])", list).error();
    };
    EXPECT_EQ(parents(1), "BadValue(parent)");
    EXPECT_EQ(parents(0), "");
    EXPECT_EQ(parents(0), "BadValue(set)");
    const Abi greedy = Abi().word(1).address(kClient).word(1001);
    EXPECT_EQ(send(kClient, "ModelRegistry", "setRoyalty(uint256,address,uint96)", greedy).error(),
              "BadValue(royalty)");
    const Abi fair = Abi().word(1).address(kClient).word(1000);
    EXPECT_TRUE(send(kClient, "ModelRegistry", "setRoyalty(uint256,address,uint96)", fair).ok);
    const Bytes royalty =
        view("ModelRegistry", "royaltyInfo(uint256,uint256)", Abi().word(1).word(500));
    EXPECT_EQ(word_at(royalty, 1), 50);
    EXPECT_FALSE(
        send(kAnyone, "ModelRegistry", "mint(address,(uint256))", Abi().address(kAnyone).word(0))
            .ok);
}

TEST_F(multicall, aggregates_and_tells_failures_apart) {
    const Address& self = market.chain.address("Multicall");
    const auto call3 = [&](bool may_fail, std::string_view what) {
        return Abi().address(self).word(may_fail ? 1 : 0).bytes(call_data(what));
    };
    const std::vector<Abi> calls = {call3(false, "getBlockNumber()"), call3(true, "nothing()")};
    const Bytes out = view("Multicall", "aggregate3((address,bool,bytes)[])", Abi().tuples(calls));
    EXPECT_EQ(word_at(out, 1), 2) << "two results";
    EXPECT_EQ(word_at(out, 4), 1) << "the first succeeded";
    EXPECT_EQ(word_at(out, 7), market.chain.number());
    EXPECT_EQ(word_at(out, 8), 0) << "the second failed";
    const std::vector<Abi> strict = {call3(false, "nothing()")};
    EXPECT_FALSE(
        send(kAnyone, "Multicall", "aggregate3((address,bool,bytes)[])", Abi().tuples(strict)).ok);
    EXPECT_EQ(word_at(view("Multicall", "getChainId()"), 0), market.chain.chain_id());
}

TEST_F(deployer, deploys_where_create2_says_and_answers_with_twenty_bytes) {
    const Address& at = market.chain.address("Create2Deployer");
    const Bytes init = *from_hex("6001600c60003960016000f300");  // returns one byte of code: STOP
    Bytes data(32, 7);
    append(data, init);
    const Sent sent = market.chain.send(kAnyone, at, data);
    ASSERT_TRUE(sent.ok);
    Bytes preimage{0xff};
    append(preimage, at.bytes);
    append(preimage, Bytes(32, 7));
    append(preimage, keccak256(init).bytes);
    const Hash h = keccak256(preimage);
    EXPECT_EQ(sent.output, Bytes(h.begin() + 12, h.end()));
    EXPECT_EQ(market.chain.code(*fixed_from<Address>(sent.output)).size(), 1u);
    EXPECT_FALSE(market.chain.send(kAnyone, at, data).ok) << "the address is taken";
    EXPECT_FALSE(market.chain.send(kAnyone, at, Bytes(31, 0)).ok);
}

/// Code of a contract that calls (target, value, data) for anyone, and does `on_receive` when it is
/// paid.
Bytes agent_code(const Bytes& on_receive) {
    Bytes code = *from_hex(
        "3615602757"              // no data: jump to the receiver
        "604036038060405f37"      // data behind the two words, to memory
        "5f5f825f6020355f355af1"  // call(gas, target, value, data)
        "3d5f5f3e602357"          // its output; jump if it succeeded
        "3d5ffd5b3d5ff35b");      // revert or return with it
    append(code, on_receive);
    return code;
}

struct Agent {
    Market& market;
    Address at;
    Sent call(std::string_view signature, const Abi& args, const Uint256& value = 0) {
        Bytes data = Abi().address(market.at()).word(value).encode();
        append(data, call_data(signature, args));
        return market.chain.send(kAnyone, at, data);
    }
};

TEST_F(receivers, a_client_that_refuses_money_locks_only_its_own) {
    market.add_provider(kProvider, kCoin * 100);
    Agent unwilling{market, actor("unwilling")};
    market.chain.install(unwilling.at, agent_code(*from_hex("5f5ffd")));
    const JobSpec spec;
    const Uint256 escrow = market.quote(spec);
    market.chain.give(unwilling.at, escrow);
    const std::string post =
        "post((bytes32,bytes32,bytes32,bytes32,uint32,uint32,uint32,uint64,uint64,uint256,uint256,"
        "uint64,address,string))";
    ASSERT_TRUE(
        unwilling.call(post, Abi().dynamic(encode_spec(spec, market.chain.timestamp())), escrow)
            .ok);
    ASSERT_TRUE(market.take(kProvider, 0).ok);
    for (uint32_t seg = 0; seg < 3; ++seg) {
        const FakeSegment made(spec, seg, "truth");
        ASSERT_TRUE(market.commit(kProvider, 0, seg, made).ok);
        market.audit_honestly(0, seg, made);
    }
    ASSERT_TRUE(market.finalize(0).ok);
    ASSERT_TRUE(market.simple(kAnyone, "close", 0).ok) << "the token needs no hook of its owner";
    EXPECT_TRUE(market.withdraw(kProvider).ok);
    EXPECT_GT(market.credit(unwilling.at), 0);
    EXPECT_EQ(unwilling.call("withdraw()", {}).error(), "BadValue(receiver)");
}

TEST_F(receivers, a_client_that_enters_again_is_paid_once) {
    Agent greedy{market, actor("greedy")};
    Bytes again = *from_hex("633ccfd60b5f525f5f6004601c5f73");  // withdraw() of the market, value 0
    append(again, market.at().bytes);
    append(again, *from_hex("5af15000"));
    market.chain.install(greedy.at, agent_code(again));
    const JobSpec spec;
    const Uint256 escrow = market.quote(spec);
    market.chain.give(greedy.at, escrow);
    market.post(kClient, spec);  // another's escrow that could be stolen
    const std::string post =
        "post((bytes32,bytes32,bytes32,bytes32,uint32,uint32,uint32,uint64,uint64,uint256,uint256,"
        "uint64,address,string))";
    ASSERT_TRUE(
        greedy.call(post, Abi().dynamic(encode_spec(spec, market.chain.timestamp())), escrow).ok);
    ASSERT_TRUE(greedy.call("cancel(uint256)", Abi().word(1)).ok);
    ASSERT_TRUE(greedy.call("withdraw()", {}).ok);
    EXPECT_EQ(market.chain.balance(greedy.at), escrow);
    EXPECT_EQ(market.chain.balance(market.at()), escrow);
}

TEST_F(receivers, nobody_can_push_money_into_the_market) {
    market.chain.give(kAnyone, 1);
    EXPECT_EQ(market.chain.send(kAnyone, market.at(), {}, 1).error(), "NotAllowed");
}

TEST_F(receivers, the_markets_second_half_holds_nothing_of_its_own) {
    const Address& half = market.chain.address("MarketAudits");
    const Bytes data = call_data("openAudit(uint256,uint32)", Abi().word(0).word(0));
    EXPECT_EQ(market.chain.send(kAnyone, half, data).error(), "WrongState");
}

}  // namespace
}  // namespace trainyard::contracts
