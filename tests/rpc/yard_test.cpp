// SPDX-License-Identifier: Apache-2.0
// yard_*: blobs, the node's condition, and the market's contracts as JSON.
#include "rpc/contract_view.hpp"
#include "tests/rpc/fixture.hpp"

namespace trainyard::rpc::test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

namespace {

/// A contract's answer, word by word.
class Answer {
public:
    Answer& number(uint64_t n) { return add(to_hash(Uint256(n))); }
    Answer& add(const Hash& w) {
        append(bytes_, w.bytes);
        return *this;
    }
    Answer& address(const Address& a) { return add(to_hash(from_be(a.bytes))); }
    Answer& text(std::string_view t) {
        number(t.size());
        Bytes padded(as_bytes(t).begin(), as_bytes(t).end());
        padded.resize((t.size() + 31) / 32 * 32);
        append(bytes_, padded);
        return *this;
    }
    [[nodiscard]] const Bytes& bytes() const { return bytes_; }

private:
    Bytes bytes_;
};

Answer job_answer() {
    Answer a;
    a.address(address_of_key(1)).address(address_of_key(2)).number(2).number(4).number(2).number(1);
    return a.number(0).number(77).add(word(9)).number(1000).add(word(8)).number(0);
}
Answer spec_answer() {
    Answer a;
    a.number(32).add(word(1)).add(word(2)).add(word(3)).add(word(4)).number(10).number(20).number(
        4);
    a.number(50).number(99).number(500).number(6).number(80).address(Address{}).number(14 * 32);
    return a.text("CC0-1.0");
}
Answer segment_answer(uint64_t state, uint64_t round) {
    Answer a;
    a.number(state).address(address_of_key(2)).number(0).number(0x40400000);  // binary32 3.0
    for (int i = 0; i < 6; ++i) a.add(word(7));
    return a.number(12).number(1).number(30).number(round).number(6);
}

bool calls(const CallRequest& request, std::string_view signature) {
    const Hash hash = keccak256(as_bytes(signature));
    const auto selector = BytesView(hash.bytes).first(4);
    return std::equal(selector.begin(), selector.end(), request.data.begin());
}

/// One job with two segments, one provider.
Result<CallOutcome, CallError> market(const CallRequest& request, const Overrides&) {
    CallOutcome out;
    if (calls(request, "jobCount()") || calls(request, "providerCount()"))
        out.output = Answer().number(1).bytes();
    else if (calls(request, "job(uint256)"))
        out.output = job_answer().bytes();
    else if (calls(request, "spec(uint256)"))
        out.output = spec_answer().bytes();
    else if (calls(request, "segment(uint256,uint32)"))
        out.output = segment_answer(5, 2).bytes();
    else if (calls(request, "providerAt(uint256)"))
        out.output = Answer().address(address_of_key(2)).bytes();
    else if (calls(request, "provider(address)")) {
        Answer fixed;  // eight members, then the three texts
        fixed.number(32).number(8 * 32).number(10 * 32).number(12 * 32);
        fixed.number(5).number(4).number(0).number(0).number(1);
        out.output = fixed.text("honest").text("h:1").text("gpu").bytes();
    } else {
        out.status = CallOutcome::Status::reverted;
    }
    return out;
}

}  // namespace

TEST(yard_blobs, go_in_and_come_out_in_parts) {
    Rpc rpc;
    const auto info = rpc.result("yard_putBlob", R"(["0x00112233"])");
    EXPECT_EQ(text(info.at("size")), "0x4");
    const auto id = "\"" + text(info.at("id")) + "\"";
    EXPECT_EQ(text(rpc.result("yard_getBlob", "[" + id + "]")), "0x00112233");
    EXPECT_EQ(text(rpc.result("yard_getBlob", "[" + id + R"(,"0x1","0x2"])")), "0x1122");
    EXPECT_EQ(text(rpc.result("yard_getBlob", "[" + id + R"(,"0x4"])")), "0x");
    EXPECT_THAT(rpc.error("yard_getBlob", "[" + id + R"(,"0x5"])"), StartsWith("-32602"));
    EXPECT_TRUE(rpc.result("yard_hasBlob", "[" + id + "]").as_bool());
    EXPECT_EQ(rpc.result("yard_blobInfo", "[" + id + "]"), info);
    EXPECT_EQ(text(rpc.result("yard_seekBlob", "[" + id + "]")), "here");
    const auto unknown = quoted(word(3).bytes);
    EXPECT_EQ(text(rpc.result("yard_seekBlob", "[" + unknown + "]")), "sought");
    EXPECT_EQ(text(rpc.result("yard_seekBlob", "[" + unknown + "]")), "absent");
    EXPECT_FALSE(rpc.result("yard_hasBlob", "[" + unknown + "]").as_bool());
    EXPECT_TRUE(rpc.result("yard_blobInfo", "[" + unknown + "]").is_null());
    EXPECT_EQ(rpc.error("yard_getBlob", "[" + unknown + "]"), "-32000 blob not found");
}

TEST(yard_blobs, are_fetched_from_peers_in_the_name_of_who_asks) {
    Rpc rpc;
    const std::string id = "[" + quoted(word(9).bytes) + "]";
    EXPECT_EQ(rpc.result("yard_hasBlob", id), false);
    EXPECT_THAT(rpc.chain.blob_clients, IsEmpty());
    rpc.client = "192.0.2.1";
    EXPECT_TRUE(rpc.result("yard_blobInfo", id).is_null());
    rpc.client = "192.0.2.2";
    EXPECT_EQ(rpc.error("yard_getBlob", id), "-32000 blob not found");
    EXPECT_THAT(rpc.chain.blob_clients, ElementsAre("192.0.2.1", "192.0.2.2"));
}

TEST(yard_blobs, rejects_what_is_too_large_for_json) {
    Rpc rpc([](Options& o) { o.blob_hex_bytes_max = 3; });
    EXPECT_THAT(rpc.error("yard_putBlob", R"(["0x00112233"])"),
                StartsWith("-32005 blob too large for JSON"));
    rpc.chain.blob_size_max = 1;
    EXPECT_EQ(rpc.error("yard_putBlob", R"(["0x0011"])"), "-32005 blob too large");
    rpc.chain.blobs[word(1)] = Bytes(4);
    EXPECT_THAT(rpc.error("yard_getBlob", "[" + quoted(word(1).bytes) + "]"), StartsWith("-32005"));
    EXPECT_EQ(text(rpc.result("yard_getBlob", "[" + quoted(word(1).bytes) + R"(,"0x2"])")),
              "0x0000");
}

TEST(yard_status, shows_head_finality_and_role) {
    Rpc rpc;
    rpc.chain.add_block({}, {});
    const auto status = rpc.result("yard_status");
    EXPECT_EQ(text(status.at("head").at("number")), "0x1");
    EXPECT_EQ(text(status.at("finalized").at("number")), "0x0");
    EXPECT_EQ(text(status.at("role")), "validator");
    EXPECT_EQ(text(status.at("verifier")), "cpu avx2");
    EXPECT_EQ(text(status.at("peers").at(0).at("address")), "127.0.0.1:30303");
    EXPECT_TRUE(status.at("halted").is_null());
    EXPECT_EQ(text(status.at("whyNotVoting")), "listens");
    EXPECT_EQ(text(status.at("waitsFor")), "votes");
    for (const char* unknown : {"operator", "diskFree", "clockAheadMs"})
        EXPECT_TRUE(status.at(unknown).is_null()) << unknown;
    EXPECT_EQ(text(rpc.result("yard_validators").at(0).at("stake")), "0x20");
}

TEST(admin, bans_and_lifts_bans) {
    Rpc rpc;
    const std::string id = "\"" + to_hex0x(PublicKey{{{2, 7}}}.bytes) + "\"";
    EXPECT_EQ(rpc.result("admin_bans").as_array().size(), 0u);
    EXPECT_TRUE(rpc.result("admin_ban", "[" + id + ", 60, \"spam\"]").as_bool());
    const auto bans = rpc.result("admin_bans");
    ASSERT_EQ(bans.as_array().size(), 1u);
    EXPECT_EQ(text(bans.at(0).at("reason")), "spam");
    EXPECT_EQ(text(bans.at(0).at("secondsLeft")), "0x3c");
    EXPECT_TRUE(rpc.result("admin_unban", "[" + id + "]").as_bool());
    EXPECT_EQ(rpc.result("admin_bans").as_array().size(), 0u);
}

TEST(admin, refuses_bans_that_are_none) {
    Rpc rpc;
    const std::string id = "\"" + to_hex0x(PublicKey{{{2, 7}}}.bytes) + "\"";
    for (const std::string& params :
         {std::string("[]"), std::string("[\"0x02\"]"), "[" + id + ", 0]",
          "[" + id + ", \"0xffffffffffffffff\"]", "[" + id + ", 60, \"\"]",
          "[" + id + ", 60, \"" + std::string(201, 'x') + "\"]"})
        EXPECT_TRUE(rpc.error("admin_ban", params).starts_with("-32602")) << params;
    EXPECT_TRUE(rpc.error("admin_unban", "[\"0x02\"]").starts_with("-32602"));
}

TEST(admin, shows_peers_with_their_queues_and_on_request_those_that_are_away) {
    Rpc rpc;
    const auto peers = rpc.result("admin_peers");
    ASSERT_EQ(peers.as_array().size(), 1u);
    EXPECT_EQ(text(peers.at(0).at("source")), "incoming");
    EXPECT_EQ(text(peers.at(0).at("queues").at("votes")), "0x7");
    EXPECT_EQ(json::serialize(peers.at(0).at("clockAheadMs")), "-12");
    EXPECT_TRUE(peers.at(0).at("sentry").is_null());
    const auto all = rpc.result("admin_peers", "[true]");
    ASSERT_EQ(all.as_array().size(), 2u);
    EXPECT_FALSE(all.at(1).at("connected").as_bool());
    EXPECT_EQ(text(rpc.result("admin_nodeInfo").at("addressBook").at("tried")), "0x3");
}

TEST(admin, lists_blobs_page_by_page_and_releases_them) {
    Rpc rpc;
    const auto named = [](uint8_t n) {
        Hash id;
        id.bytes[0] = n;
        return id;
    };
    for (uint8_t n = 1; n <= 3; ++n) rpc.chain.blobs[named(n)] = Bytes(n, 7);
    const auto quoted = [&](uint8_t n) { return "\"" + to_hex0x(named(n).bytes) + "\""; };
    const auto all = rpc.result("admin_blobs");
    ASSERT_EQ(all.as_array().size(), 3u);
    EXPECT_EQ(text(all.at(2).at("size")), "0x3");
    EXPECT_EQ(text(all.at(2).at("owners")), "0x0");
    const auto page = rpc.result("admin_blobs", "[" + quoted(1) + ", 1]");
    ASSERT_EQ(page.as_array().size(), 1u);
    EXPECT_EQ(text(page.at(0).at("id")), to_hex0x(named(2).bytes));
    EXPECT_TRUE(page.at(0).at("kept").as_bool());
    EXPECT_TRUE(rpc.result("admin_releaseBlob", "[" + quoted(2) + "]").as_bool());
    EXPECT_FALSE(rpc.result("admin_blobs").at(1).at("kept").as_bool());
    EXPECT_EQ(rpc.error("admin_releaseBlob", "[" + quoted(9) + "]"), "-32000 no such blob is here");
    for (const auto* wrong : {"[]", "[\"0x12\"]", "[7]"})
        EXPECT_TRUE(rpc.error("admin_releaseBlob", wrong).starts_with("-32602")) << wrong;
    EXPECT_TRUE(rpc.error("admin_blobs", "[\"0x12\"]").starts_with("-32602"));
    for (uint32_t n = 0; n < 1100; ++n) {
        Hash id;
        id.bytes[1] = static_cast<uint8_t>(n >> 8), id.bytes[2] = static_cast<uint8_t>(n);
        rpc.chain.blobs[id] = {};
    }
    EXPECT_EQ(rpc.result("admin_blobs", "[null, 5000]").as_array().size(), 1000u);
}

TEST(admin, adds_and_removes_peers_and_passes_on_why_not) {
    Rpc rpc;
    EXPECT_TRUE(rpc.result("admin_addPeer", R"(["02aa@10.0.0.1:1"])").as_bool());
    EXPECT_EQ(rpc.chain.added.size(), 1u);
    EXPECT_TRUE(rpc.result("admin_removePeer", R"(["02aa@10.0.0.1:1"])").as_bool());
    EXPECT_TRUE(rpc.chain.added.empty());
    EXPECT_EQ(rpc.error("admin_addPeer", R"(["02aa"])"), "-32000 no address");
    EXPECT_TRUE(rpc.error("admin_addPeer", "[7]").starts_with("-32602"));
    EXPECT_TRUE(rpc.error("admin_removePeer").starts_with("-32602"));
}

TEST(admin, says_what_consensus_waits_for) {
    Rpc rpc;
    rpc.chain.add_block({}, {});
    const auto state = rpc.result("admin_consensusState");
    EXPECT_EQ(text(state.at("view")), "0x9");
    EXPECT_EQ(text(state.at("leader")), to_hex0x(address_of_key(5).bytes));
    EXPECT_EQ(text(state.at("certified")), "0x1");
    EXPECT_EQ(text(state.at("waitsFor")), "votes");
    EXPECT_EQ(text(state.at("whyNotVoting")), "listens");
    EXPECT_EQ(text(state.at("missing").at(0)), to_hex0x(address_of_key(6).bytes));
    EXPECT_EQ(text(rpc.result("admin_peers").at(0).at("network").at("remoteAddress")),
              "127.0.0.1:30303");
}

TEST(yard_jobs, that_take_too_long_are_told_to_ask_for_less) {
    uint64_t step_ms = 0, now_ms = 0;
    Rpc rpc([&](Options& o) { o.now_ms = [&] { return now_ms += step_ms; }; });
    rpc.chain.on_call = [&](const CallRequest& request, const Overrides& overrides) {
        now_ms += step_ms;
        return market(request, overrides);
    };
    EXPECT_FALSE(rpc.result("yard_job", R"(["0x0"])").is_null());
    step_ms = 4'000;
    const std::string refusal = "-32005 query timeout exceeded: ask for less at once";
    EXPECT_EQ(rpc.error("yard_job", R"(["0x0"])"), refusal);
    step_ms = 0;
    EXPECT_FALSE(rpc.result("yard_jobs").at("jobs").as_array().empty());
    step_ms = 11'000;
    EXPECT_EQ(rpc.error("yard_jobs"), refusal);
}

TEST(yard_jobs, are_decoded_from_the_contract) {
    Rpc rpc;
    rpc.chain.on_call = market;
    const auto jobs = rpc.result("yard_jobs");
    EXPECT_EQ(text(jobs.at("total")), "0x1");
    const auto& job = jobs.at("jobs").at(0);
    EXPECT_EQ(text(job.at("client")), to_hex0x(address_of_key(1).bytes));
    EXPECT_EQ(text(job.at("state")), "active");
    EXPECT_EQ(text(job.at("outcome")), "diverged");
    EXPECT_EQ(text(job.at("spec").at("segments")), "0xa");
    EXPECT_EQ(text(job.at("spec").at("unitWork")), "0x50");
    EXPECT_EQ(text(job.at("spec").at("licence")), "CC0-1.0");
    const auto whole = rpc.result("yard_job", R"(["0x0"])");
    ASSERT_EQ(whole.at("segments").as_array().size(), 2u);
    EXPECT_EQ(text(whole.at("segments").at(1).at("state")), "final");
    EXPECT_EQ(whole.at("segments").at(1).at("loss").to_number<double>(), 3.0);
    EXPECT_EQ(text(whole.at("segments").at(1).at("divergesAt")), "0x6");
    EXPECT_EQ(rpc.result("yard_job", R"(["0x0","0x1"])").at("segments").as_array().size(), 1u);
    EXPECT_TRUE(rpc.result("yard_job", R"(["0x1"])").is_null());
    const auto provider = rpc.result("yard_providers").at("providers").at(0);
    EXPECT_EQ(text(provider.at("address")), to_hex0x(address_of_key(2).bytes));
    EXPECT_EQ(text(provider.at("name")), "honest");
    EXPECT_EQ(text(provider.at("stake")), "0x5");
    EXPECT_TRUE(provider.at("registered").as_bool());
}

TEST(yard_jobs, tell_who_challenges_or_disputes_a_segment) {
    const auto segment = [](uint64_t state, uint64_t round) {
        Rpc rpc;
        rpc.chain.on_call = [=](const CallRequest& request, const Overrides& overrides) {
            CallOutcome out;
            if (calls(request, "segment(uint256,uint32)"))
                out.output = segment_answer(state, round).bytes();
            else if (calls(request, "challengeOf(uint256,uint32)"))
                out.output = Answer().address(address_of_key(3)).number(2).number(7).bytes();
            else if (calls(request, "auditWait(uint256,uint32)"))
                out.output = Answer().number(40).bytes();
            else if (calls(request, "disputeOf(uint256,uint32)"))
                out.output = Answer()
                                 .address(address_of_key(4))
                                 .number(1)
                                 .number(5)
                                 .number(0)
                                 .number(77)
                                 .number(9)
                                 .number(1)
                                 .bytes();
            else
                return market(request, overrides);
            return Result<CallOutcome, CallError>(out);
        };
        return rpc.result("yard_job", R"(["0x0"])").at("segments").at(1).as_object();
    };
    for (const uint64_t state : {1, 3}) {
        const auto challenge = segment(state, 3).at("challenge");
        EXPECT_EQ(text(challenge.at("challenger")), to_hex0x(address_of_key(3).bytes));
        EXPECT_EQ(text(challenge.at("number")), "0x2");
        EXPECT_EQ(text(challenge.at("bond")), "0x7");
    }
    EXPECT_EQ(text(segment(1, 0).at("auditWaitBlocks")), "0x28") << "until auditors have room";
    EXPECT_FALSE(segment(3, 0).contains("auditWaitBlocks"));
    const auto disputed = segment(7, 3);
    EXPECT_EQ(text(disputed.at("state")), "disputed");
    EXPECT_FALSE(disputed.contains("challenge"));
    EXPECT_EQ(text(disputed.at("dispute").at("challenger")), to_hex0x(address_of_key(4).bytes));
    EXPECT_EQ(text(disputed.at("dispute").at("turn")), "challenger");
    EXPECT_EQ(text(disputed.at("dispute").at("moves")), "0x5");
    EXPECT_EQ(text(disputed.at("dispute").at("movedAt")), "0x4d");
    EXPECT_EQ(text(segment(8, 1).at("state")), "convicted");
    EXPECT_EQ(text(segment(9, 1).at("state")), "appealed");
    EXPECT_FALSE(segment(9, 1).contains("dispute"));
    EXPECT_FALSE(segment(1, 0).contains("challenge")) << "committed, not judged yet";
    EXPECT_FALSE(segment(2, 2).contains("challenge")) << "substitutes at level 0";
    EXPECT_FALSE(segment(3, 1).contains("challenge")) << "the committee after an alarm";
    EXPECT_FALSE(segment(4, 2).contains("challenge")) << "settled";
}

TEST(yard_jobs, say_when_there_is_no_market) {
    Rpc rpc;
    EXPECT_THAT(rpc.error("yard_jobs"), HasSubstr("there is no system contract at 0x"));
}

TEST(contract_view, rejects_answers_of_another_form) {
    constexpr Field kText[] = {{"t", Word::text}};
    constexpr Field kTwo[] = {{"a", Word::quantity}, {"b", Word::addresses}};
    const auto fits = [](std::span<const Field> fields, const Bytes& answer) {
        std::string out;
        JsonWriter writer(out);
        writer.begin_object();
        return write_struct(writer, answer, fields).has_value();
    };
    EXPECT_TRUE(fits(kText, Answer().number(32).number(32).text("ok").bytes()));
    EXPECT_FALSE(fits(kText, {}));
    EXPECT_FALSE(fits(kText, Answer().number(32).bytes()));
    EXPECT_FALSE(fits(kText, Answer().number(32).number(320).text("ok").bytes()));
    EXPECT_FALSE(fits(kText, Answer().number(32).number(32).number(1000).bytes()));
    EXPECT_FALSE(fits(kText, Answer().add(to_hash(Uint256::max())).number(0).bytes()));
    EXPECT_FALSE(fits(kTwo, Answer().number(32).number(1).number(64).number(9).bytes()));
}

}  // namespace trainyard::rpc::test
