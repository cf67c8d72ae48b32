// SPDX-License-Identifier: Apache-2.0
// `trainyard verify`: anyone replays a segment, or recomputes a model's root.
#include <algorithm>

#include <boost/json.hpp>

#include "node/cli/model_folder.hpp"
#include "node/cli/self_test_report.hpp"
#include "node/cli/verify_job.hpp"
#include "node/verify/child_verifier.hpp"
#include "node/verify/transfer.hpp"
#include "node/verify/sandbox.hpp"
#include "node/verify/verifier.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/models.hpp"
#include "node/wallet/step_name.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

/// A case that somebody saved: what was claimed stands in it, nothing of it is believed.
int verify_case(const Output& out, const VerifyArgs& args) {
    const auto content = wallet::read_file(args.case_file, size_t{4} << 30);
    if (!content) return out.fail(content.error().text);
    const auto request = verify::decode_request(*content);
    const auto* replay = request ? std::get_if<verify::ReplayRequest>(&*request) : nullptr;
    if (replay == nullptr) return out.fail("'" + args.case_file + "' is no saved case");
    const auto verifier =
        verify::make_local_verifier(verify::BackendOptions{args.threads, !args.no_cuda});
    const auto answer = verifier->replay(*replay);
    if (!answer) return out.fail(answer.error().text);
    const auto& claim = replay->claim;
    const bool has_end = replay->diverges_at == 0;
    const uint32_t seg = claim.first_step / std::max(claim.steps, 1U);
    const std::string what = has_end ? "claimed root " + to_hex0x(claim.steps_root.bytes)
                                     : "claimed to diverge at " +
                                           wallet::step_name(replay->diverges_at, claim.steps, seg);
    if (out.json)
        out.line(json::serialize(json::object{{"matches", answer->matches},
                                              {"finding", answer->finding},
                                              {"firstStep", claim.first_step},
                                              {"steps", claim.steps},
                                              {"divergesAt", replay->diverges_at},
                                              {"stepsRoot", to_hex0x(claim.steps_root.bytes)}}));
    else
        out.line("segment " + std::to_string(seg) + ", " + std::to_string(claim.steps) +
                 " steps, " + what + "\nreplayed on " + verifier->name() + ": " +
                 (answer->matches ? green(has_end ? "match, bit for bit" : answer->finding)
                                  : red("MISMATCH: " + answer->finding)));
    return answer->matches ? kOk : kFailed;
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
    if (!args.case_file.empty()) return verify_case(out, args);
    if (!args.job) return out.fail("name a job (--job N) or a model folder (--model DIR)"), kUsage;
    return verify_job(out, args);
}

namespace {

/// A driver may need what a sandbox refuses.
void say_if_without_gpu(const Output& out, const verify::BackendChoice& choice) {
    const auto is_gpu = [](const verify::TestedBackend& t) { return t.name.starts_with("cuda"); };
    if (std::any_of(choice.tested.begin(), choice.tested.end(), is_gpu)) return;
    out.say(
        "warning: there is a driver of GPUs, but none could be opened in the sandbox; "
        "verifier.sandbox = off (here: --sandbox off) does without it");
}

}  // namespace

int run_verifier(const Output& out, const VerifierArgs& args) {
    const auto mode = *verify::sandbox_mode_from(args.sandbox);
    const auto sandbox = verify::enter_sandbox({mode, !args.no_cuda, args.hidden});
    const bool is_off = mode == verify::SandboxMode::off;
    const auto held = "sandbox: " + (is_off ? "off" : to_text(sandbox));
    out.say(held);
    if (mode == verify::SandboxMode::on && !sandbox.confined.is_whole()) {
        const auto why = held + "; verifier.sandbox = on asks for all of it";
        if (args.fd < 0) return out.fail(why);
        return verify::serve_verifier(args.fd, *verify::make_refusing_verifier(why),
                                      sandbox.confined);
    }
    auto choice = verify::choose_backend({args.threads, !args.no_cuda});
    show_tested(out, choice);
    if (!args.no_cuda && !is_off && verify::has_gpu_driver()) say_if_without_gpu(out, choice);
    const bool is_usable = choice.backend != nullptr;
    if (args.fd < 0) return is_usable ? kOk : kFailed;
    // A node that asks hears the reason; one that only saw a dead process would start it again.
    verify::exit_when_out_of_memory();
    const auto verifier = verify::make_local_verifier(std::move(choice), args.threads,
                                                      uint64_t{args.memory_mb} << 20);
    return verify::serve_verifier(args.fd, *verifier, sandbox.confined);
}

}  // namespace trainyard::node::cli
