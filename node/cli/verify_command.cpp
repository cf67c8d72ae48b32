// SPDX-License-Identifier: Apache-2.0
// `trainyard verify`: anyone replays a segment, or recomputes a model's root.
#include <boost/json.hpp>

#include "node/cli/jobs.hpp"
#include "node/verify/child_verifier.hpp"
#include "node/verify/verifier.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

struct Finding {
    uint32_t seg = 0;
    bool matches = false;
    std::string text;
    std::string state;
};

void print(const Output& out, uint64_t job, const Finding& f) {
    if (out.json)
        return out.line(json::serialize(json::object{{"job", job},
                                                     {"segment", f.seg},
                                                     {"state", f.state},
                                                     {"matches", f.matches},
                                                     {"finding", f.text}}));
    out.line("job " + std::to_string(job) + " segment " + std::to_string(f.seg) + " (" + f.state +
             "): " + (f.matches ? green("match, bit for bit") : red("MISMATCH: " + f.text)));
}

class JobReplay {
public:
    JobReplay(wallet::MarketApi& market, verify::Verifier& verifier, uint64_t id)
        : market_(market), verifier_(verifier), id_(id) {}

    Result<Done, std::string> open() {
        const auto job = market_.job(id_);
        if (!job) return unexpected(job.error().text);
        if (job->state == wallet::JobState::none)
            return unexpected("there is no job " + std::to_string(id_));
        run_seed_ = job->run_seed;
        auto spec = market_.spec(id_);
        if (!spec) return unexpected(spec.error().text);
        spec_ = std::move(*spec);
        auto material = fetch_job(market_, spec_);
        if (!material) return unexpected(material.error());
        material_ = std::move(*material);
        return Done{};
    }
    [[nodiscard]] uint32_t segments() const { return spec_.segments; }

    /// nullopt: nothing is committed there.
    Result<std::optional<Finding>, std::string> replay(uint32_t seg) {
        const auto segment = market_.segment(id_, seg);
        if (!segment) return unexpected(segment.error().text);
        if (segment->state == wallet::SegmentState::none) return std::optional<Finding>{};
        verify::ReplayRequest request;
        auto& c = request.segment;
        c.program = material_.encoded_program;
        c.program_id = spec_.program_id;
        c.data = material_.data;
        c.run_seed = run_seed_;
        c.claim = {seg * spec_.steps_per_segment, spec_.steps_per_segment, segment->first,
                   segment->last, segment->steps_root};
        auto last = market_.get_blob(segment->state_blob, kJobDataBytesMax);
        if (!last) return unexpected("the state after the segment: " + last.error().text);
        c.last_state = std::move(*last);
        if (seg > 0) {
            const auto before = market_.segment(id_, seg - 1);
            if (!before) return unexpected(before.error().text);
            auto first = market_.get_blob(before->state_blob, kJobDataBytesMax);
            if (!first) return unexpected("the state before the segment: " + first.error().text);
            request.first_state = std::move(*first);
        }
        const auto answer = verifier_.replay(request);
        if (!answer) return unexpected(answer.error().text);
        return std::optional(Finding{seg, answer->matches, answer->finding,
                                     std::string(wallet::to_text(segment->state))});
    }

private:
    wallet::MarketApi& market_;
    verify::Verifier& verifier_;
    uint64_t id_;
    Hash run_seed_;
    wallet::JobSpec spec_;
    JobMaterial material_;
};

int verify_job(const Output& out, const VerifyArgs& args) {
    const auto market = open_reader(args.rpc);
    if (!market) return out.fail(market.error());
    const auto verifier = verify::make_local_verifier({args.threads, !args.no_cuda});
    JobReplay replay(**market, *verifier, *args.job);
    if (auto opened = replay.open(); !opened) return out.fail(opened.error());
    out.say("replaying on " + verifier->name());
    const uint32_t from = args.segment.value_or(0);
    const uint32_t to = args.segment ? *args.segment + 1 : replay.segments();
    bool all_match = true;
    uint32_t checked = 0;
    for (uint32_t seg = from; seg < to; ++seg) {
        const auto finding = replay.replay(seg);
        if (!finding) return out.fail(finding.error());
        if (!*finding) break;
        print(out, *args.job, **finding);
        all_match = all_match && (*finding)->matches;
        ++checked;
    }
    if (checked == 0) return out.fail("nothing is committed there yet");
    return all_match ? kOk : kFailed;
}

/// The chain's word about the model: its token's record.
Result<Hash, std::string> root_on_chain(const VerifyArgs& args, const ModelProof& proof) {
    if (!proof.token)
        return unexpected(
            std::string("the folder names no model token; --offline checks it "
                        "against its own proof only"));
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return unexpected(client.error().text);
    const auto chain = (*client)->chain_id();
    if (!chain) return unexpected(chain.error().text);
    if (proof.chain_id && *proof.chain_id != *chain)
        return unexpected("the model is from chain " + std::to_string(*proof.chain_id) +
                          ", this is chain " + std::to_string(*chain));
    const auto record = wallet::model_record(**client, *proof.token);
    if (!record) return unexpected(record.error().text);
    return record->state_root;
}

int verify_model(const Output& out, const VerifyArgs& args) {
    const auto model = read_model_folder(args.model);
    if (!model) return out.fail(model.error());
    const auto proof = read_model_proof(args.model);
    if (!proof) return out.fail(proof.error());
    const Hash root = recomputed_root(*model, *proof);
    Hash expected = proof->state_root;
    std::string source = "trainyard.json";
    if (!args.offline) {
        const auto on_chain = root_on_chain(args, *proof);
        if (!on_chain) return out.fail(on_chain.error());
        expected = *on_chain;
        source = "model token " + to_decimal(*proof->token);
    }
    const bool matches = root == expected;
    if (out.json)
        out.line(json::serialize(json::object{{"matches", matches},
                                              {"root", to_hex0x(root.bytes)},
                                              {"expected", to_hex0x(expected.bytes)},
                                              {"source", source}}));
    else
        out.line(
            "weights lead to state root " + to_hex0x(root.bytes) + "\n" + source + " says       " +
            to_hex0x(expected.bytes) + "\n" +
            (matches ? green("match") : red("MISMATCH: these are not the weights of that model")));
    return matches ? kOk : kFailed;
}

}  // namespace

int run_verify(const Output& out, const VerifyArgs& args) {
    if (!args.model.empty()) return verify_model(out, args);
    if (!args.job) return out.fail("name a job (--job N) or a model folder (--model DIR)"), kUsage;
    return verify_job(out, args);
}

int run_verifier(const VerifierArgs& args) {
    return verify::serve_verifier(args.fd, {args.threads, !args.no_cuda});
}

}  // namespace trainyard::node::cli
