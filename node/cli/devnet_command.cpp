// SPDX-License-Identifier: Apache-2.0
// `trainyard devnet`: init, up and the demo.
#include <bit>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <boost/json.hpp>
#include <unistd.h>

#include "core/utf8.hpp"
#include "node/cli/demo.hpp"
#include "node/cli/programs.hpp"
#include "node/verify/backend_choice.hpp"
#include "node/verify/protocol.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/hd.hpp"
#include "node/wallet/json_util.hpp"
#include "node/wallet/models.hpp"
#include "node/wallet/secrets.hpp"

namespace trainyard::node::cli {
namespace {

constexpr uint32_t kReadyTimeoutMs = 60'000;
constexpr uint32_t kStandstillMs = 600'000;
constexpr uint32_t kCheatSegments = 2;

void sleep_ms(uint64_t ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

DevnetLayout layout_of(const DevnetArgs& args, std::string folder) {
    return {std::move(folder), args.validators, args.http_port, args.seed, args.settings};
}

/// Empty, or why the ports after the first node's do not reach for all.
std::string ports_misfit(const DevnetArgs& args) {
    const uint32_t last = UINT16_MAX + 1 - args.validators;
    if (args.http_port <= last) return "";
    return "--http-port " + std::to_string(args.http_port) + " leaves too few ports for " +
           std::to_string(args.validators) + " nodes: give 1 to " + std::to_string(last) +
           ", or 0 for free ones";
}

Address dev_address(uint32_t n) {
    return *address_of(*wallet::account_key(wallet::kDevMnemonic, n));
}

template <class T>
Result<T, std::string> plain(wallet::Answer<T> answer) {
    if (answer) return std::move(*answer);
    return unexpected(answer.error().text);
}

/// The demo as a sequence of steps; the first that fails tells why and ends it.
class Demo {
public:
    Demo(const Output& out, const DevnetArgs& args) : out_(out), args_(args) {}
    ~Demo() {
        net_.reset();
        if (!folder_.empty() && !keep_files_) std::filesystem::remove_all(folder_);
    }

    Result<Done, std::string> run() {
        auto data = read_data(args_.data.empty() ? "/usr/share/common-licenses" : args_.data);
        if (!data) return unexpected(data.error());
        data_ = std::move(*data);
        // Now rather than when the model is there.
        if (auto made = wallet::make_folder(args_.out); !made) return unexpected(made.error().text);
        const std::function<Result<Done, std::string>()> steps[] = {
            [this] { return start_network(); },  [this] { return publish(); },
            [this] { return watch_training(); }, [this] { return deliver(); },
            [this] { return catch_cheat(); },
        };
        for (const auto& step : steps)
            if (auto done = step(); !done) {
                keep_files_ = true;
                return unexpected(done.error() + "\nlogs are kept in " + folder_);
            }
        last_screen();
        if (args_.keep) stay();
        return Done{};
    }

private:
    void tell(const std::string& text) {
        const uint64_t second = (steady_ms() - started_ms_) / 1000;
        bar_.clear();
        out_.line(out_.json ? boost::json::serialize(
                                  boost::json::object{{"second", second}, {"text", text}})
                            : dim("[" + seconds_text(second) + "] ") + text);
    }

    Result<Done, std::string> start_network() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "trainyard-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr)
            return unexpected(std::string("no temporary folder"));
        folder_ = pattern;
        const auto genesis = make_devnet(layout_of(args_, folder_));
        if (!genesis) return unexpected(genesis.error());
        chain_id_ = genesis->chain_id;
        tell("genesis of chain " + std::to_string(chain_id_) + ": block 0 is " +
             short_hex(genesis->block_hash.bytes) + ", " +
             std::to_string(genesis->validators.size()) + " validators, ten development accounts");
        auto net = Devnet::open(folder_);
        if (!net) return unexpected(net.error());
        net_ = std::move(*net);
        for (uint32_t n = 0; n < net_->size(); ++n)
            if (auto done = net_->start_node(n); !done) return done;
        if (auto ready = net_->wait_for_block(2, kReadyTimeoutMs); !ready) return ready;
        for (const char* fault : {"none", "skip-steps"}) {
            const bool honest = std::string_view(fault) == "none";
            if (!honest && args_.skip_cheat) continue;
            const ProviderStart start{honest ? "dev:1" : "dev:2", fault, args_.threads,
                                      args_.no_cuda};
            if (auto done = net_->start_provider(start); !done) return done;
        }
        tell(std::to_string(net_->size()) + " nodes agree on blocks, providers are up; RPC " +
             net_->rpc_url(0));
        auto market = open_account(net_->rpc_url(0), {"dev:0", ""});
        if (!market) return unexpected(market.error());
        market_ = std::move(*market);
        auto client = plain(wallet::EthClient::open(net_->rpc_url(0)));
        if (!client) return unexpected(client.error());
        client_ = std::move(*client);
        return Done{};
    }

    Result<JobOffer, std::string> offer(uint32_t segments, uint32_t provider) {
        JobOffer o;
        TemplateArgs gpt;
        gpt.segment = args_.segment_steps;
        gpt.steps = segments * args_.segment_steps;
        auto program = make_program(gpt, data_);
        if (!program) return unexpected(program.error());
        o.program = std::move(*program);
        o.data = data_;
        o.price_wei = *parse_coins("1");
        o.audit_fee_wei = *parse_coins("0.01");
        o.provider = dev_address(provider);
        o.licence = "Apache-2.0";
        o.client_seed = wallet::random_fixed<Hash>();
        if (args_.seed != 0) o.client_seed = sha256(as_bytes("demo " + std::to_string(args_.seed)));
        o.segment_blocks = 480;
        o.deadline_s = unix_seconds() + 86'400;
        return o;
    }

    Result<PostedJob, std::string> post(const JobOffer& o) {
        const auto quote = quote_job(*market_, o);
        if (!quote) return unexpected(quote.error());
        return post_job(*market_, *quote, o.data);
    }

    Result<Done, std::string> publish() {
        const auto o = offer(args_.segments, 1);
        if (!o) return unexpected(o.error());
        const auto posted = post(*o);
        if (!posted) return unexpected(posted.error());
        job_ = *posted;
        tell("published " + std::to_string(data_.size()) + " bytes of text and a program of " +
             std::to_string(o->program.parameters.size()) + " tensors, " +
             std::to_string(o->program.run.steps) + " steps in " + std::to_string(args_.segments) +
             " segments");
        tell("job " + std::to_string(posted->id) + " funded with " + in_coins(posted->escrow_wei) +
             " in block " + std::to_string(posted->receipt.block) + ", tx " +
             short_hex(posted->receipt.tx.bytes));
        return Done{};
    }

    /// Takes the honest provider's lines into the loss curve and the bar.
    void follow(LogTail& tail) {
        for (const auto& line : tail.read_new()) {
            const auto event = wallet::parse_json(line);
            if (!event) continue;
            const auto kind = wallet::text_member(*event, "event");
            if (kind != "step") continue;
            const auto real = [&](const char* name) {
                const auto* v = wallet::member(*event, name);
                return v != nullptr && v->is_number() ? v->to_number<double>() : 0.0;
            };
            progress_.step = static_cast<uint32_t>(real("step"));
            progress_.steps = static_cast<uint32_t>(real("steps"));
            progress_.loss = static_cast<float>(real("loss"));
            progress_.tokens_per_s = real("tokensPerS");
            progress_.tops = real("topPerS");
            progress_.seconds_left = static_cast<uint64_t>(real("secondsLeft"));
            losses_.push_back({progress_.step, progress_.loss});
        }
    }

    Result<Done, std::string> still_running(uint64_t since_ms, const char* what) {
        if (stop_was_requested()) return unexpected(std::string("interrupted"));
        const auto revived = net_->revive();
        if (!revived) return unexpected(revived.error());
        for (const auto& line : *revived) tell(line);
        if (steady_ms() > since_ms + kStandstillMs)
            return unexpected(std::string(what) + " did not get on for " +
                              std::to_string(kStandstillMs / 1000) + " s");
        return Done{};
    }

    Result<Done, std::string> watch_training() {
        LogTail tail(net_->provider_log(0));
        uint64_t since = steady_ms();  // that something happened: machines are slow
        bool taken = false;
        progress_.segments = args_.segments;
        progress_.steps = args_.segments * args_.segment_steps;
        for (;;) {
            if (auto ok = still_running(since, "job 0"); !ok) return ok;
            const uint32_t step = progress_.step;
            follow(tail);
            const auto job = plain(market_->job(job_.id));
            if (!job) return unexpected(job.error());
            if (!taken && !job->provider.is_zero()) {
                taken = true;
                tell("taken by provider " + short_hex(job->provider.bytes) + "; training");
            }
            if (progress_.step != step || progress_.committed != job->tip ||
                progress_.accepted != job->final_segments)
                since = steady_ms();
            progress_.committed = job->tip;
            progress_.accepted = job->final_segments;
            if (taken) bar_.show(progress_text(progress_));
            if (job->attempt > 0) return unexpected(std::string("an honest segment was voided"));
            if (job->state == wallet::JobState::closed) break;
            sleep_ms(200);
        }
        follow(tail);
        tell("all " + std::to_string(args_.segments) +
             " segments committed, audited by replay, accepted and paid");
        return Done{};
    }

    Result<Done, std::string> deliver() {
        auto story = gather_story(*market_, *client_, job_);
        if (!story) return unexpected(story.error());
        story_ = std::move(*story);
        if (story_.job.outcome != wallet::Outcome::complete || story_.job.model_token.is_zero())
            return unexpected(std::string("the job closed without a model"));
        const auto got = download_model(*market_, *client_, job_.id, args_.out, args_.threads);
        if (!got) return unexpected(got.error());
        held_out_ = got->held_out_loss;
        const auto record = wallet::model_record(*client_, story_.job.model_token - Uint256(1));
        if (!record) return unexpected(record.error().text);
        if (record->state_root != got->state_root)
            return unexpected(std::string("the token names another state than was downloaded"));
        root_ = record->state_root;
        std::vector<wallet::Segment> segments;
        for (uint32_t seg = 0; seg < args_.segments; ++seg) {
            auto segment = plain(market_->segment(job_.id, seg));
            if (!segment) return unexpected(segment.error());
            segments.push_back(std::move(*segment));
        }
        const auto curve = losses_.empty() ? got->losses : losses_;
        const std::pair<const char*, std::string> files[] = {
            {"receipt.json", receipt_json(story_, chain_id_, segments)},
            {"loss.svg",
             training::loss_svg(curve, "Training loss of job " + std::to_string(job_.id))},
            {"loss.csv", training::loss_csv(curve)}};
        for (const auto& [name, text] : files)
            if (auto done = wallet::write_text(args_.out + "/" + name, text); !done)
                return unexpected(done.error().text);
        return generate();
    }

    Result<Done, std::string> generate() {
        const auto model = read_model_folder(args_.out);
        if (!model) return unexpected(model.error());
        const auto backend = verify::make_backend({args_.threads, !args_.no_cuda});
        training::SampleOptions options;
        options.count = 240;
        options.temperature = 0.6F;
        options.seed = 1;
        const std::string prompt = "This License ";
        const auto text =
            training::sample(model->program, *backend, model->w, as_bytes(prompt), options);
        if (!text) return unexpected(std::string(training::to_text(text.error())));
        sample_ = prompt + printable(*text, LineEnds::kept);
        auto written = wallet::write_text(args_.out + "/sample.txt", sample_ + "\n");
        if (!written) return unexpected(written.error().text);
        tell("model token " + to_decimal(story_.job.model_token - Uint256(1)) + " minted; wrote " +
             args_.out + "/ (model.safetensors leads to the root on the chain)");
        return Done{};
    }

    /// A cancelled job closes at once; where another of its segments is still under audit, the
    /// validators close it when that is over. Only then is the escrow back.
    Result<Done, std::string> cancel_cheat() {
        if (auto done = plain(market_->cancel(cheat_.id)); !done) return unexpected(done.error());
        for (const uint64_t since = steady_ms();; sleep_ms(200)) {
            if (auto ok = still_running(since, "closing the cheated job"); !ok) return ok;
            const auto job = plain(market_->job(cheat_.id));
            if (!job) return unexpected(job.error());
            if (job->state == wallet::JobState::closed) return Done{};
        }
    }

    Result<Done, std::string> catch_cheat() {
        if (args_.skip_cheat) return Done{};
        const auto o = offer(kCheatSegments, 2);
        if (!o) return unexpected(o.error());
        const auto posted = post(*o);
        if (!posted) return unexpected(posted.error());
        cheat_ = *posted;
        tell("job " + std::to_string(posted->id) +
             " goes to a provider that skips half of the steps");
        const uint64_t since = steady_ms();
        for (;;) {
            if (auto ok = still_running(since, "catching the cheat"); !ok) return ok;
            const auto job = plain(market_->job(cheat_.id));
            if (!job) return unexpected(job.error());
            const auto segment = plain(market_->segment(cheat_.id, 0));
            if (job->attempt > 0) break;
            if (job->final_segments > 0) return unexpected(std::string("the cheat was not caught"));
            if (segment)
                bar_.show("job " + std::to_string(cheat_.id) + ": segment 0 " +
                          std::string(wallet::to_text(segment->state)));
            sleep_ms(200);
        }
        tell((out_.json ? "caught" : green("caught")) +
             ": the audits found a mismatch, the second committee confirmed it");
        if (auto done = cancel_cheat(); !done) return done;
        auto story = gather_story(*market_, *client_, cheat_);
        if (!story) return unexpected(story.error());
        cheat_story_ = std::move(*story);
        if (cheat_story_.slashed_wei.is_zero())
            return unexpected(std::string("nothing was slashed"));
        const auto segment = plain(market_->segment(cheat_.id, 0));
        if (!segment) return unexpected(segment.error());
        const auto replay = gather_replay(*market_, cheat_.id, 0, *segment);
        if (!replay) return unexpected(replay.error().text);
        auto saved = wallet::write_file(args_.out + "/audit.case", verify::encode_request(*replay));
        if (!saved) return unexpected(saved.error().text);
        const auto credit = plain(market_->credit(market_->self()));
        if (credit && !credit->is_zero())
            if (auto paid = plain(market_->withdraw()); !paid) return unexpected(paid.error());
        return Done{};
    }

    void event_line(const JobStory& story, std::string_view name, const std::string& words) {
        const auto* event = find_event(story, name);
        if (event == nullptr) return;
        std::string text = "  block " + std::to_string(event->block);
        text.resize(std::max<size_t>(text.size(), 14), ' ');
        out_.line(text + "tx " + to_hex0x(event->tx.bytes) + "  " + words);
    }

    /// The last line with --json: what came of both jobs.
    void last_object() const {
        boost::json::object o{{"job", job_.id},
                              {"escrowWei", to_decimal(job_.escrow_wei)},
                              {"paidWei", to_decimal(story_.paid_wei)},
                              {"burnedWei", to_decimal(story_.burned_wei)},
                              {"auditFeesWei", to_decimal(story_.audit_fees_wei)},
                              {"refundWei", to_decimal(story_.refund_wei)},
                              {"modelToken", to_decimal(story_.job.model_token - Uint256(1))},
                              {"stateRoot", to_hex0x(root_.bytes)},
                              {"heldOutLoss", held_out_json(held_out_)},
                              {"out", args_.out}};
        if (!args_.skip_cheat) {
            o["cheatedJob"] = cheat_.id;
            o["slashedWei"] = to_decimal(cheat_story_.slashed_wei);
            o["refundOfCheatedWei"] = to_decimal(cheat_story_.refund_wei);
        }
        if (args_.keep) o["rpc"] = net_->rpc_url(0), o["dir"] = folder_;
        out_.line(boost::json::serialize(o));
    }

    void last_screen() {
        bar_.clear();
        if (out_.json) return last_object();
        out_.line("\n" + bold("An honest job") + "  (job " + std::to_string(job_.id) + ")");
        event_line(story_, "JobPosted", "funded: " + in_coins(job_.escrow_wei));
        event_line(story_, "JobTaken", "taken by " + to_hex0x(story_.job.provider.bytes));
        event_line(story_, "SegmentAccepted", "last segment accepted after its audit");
        event_line(story_, "JobClosed",
                   "settled: provider " + coins(story_.paid_wei) + ", burned " +
                       coins(story_.burned_wei) + ", auditors " + coins(story_.audit_fees_wei) +
                       ", refund " + coins(story_.refund_wei));
        out_.line("  model token " + to_decimal(story_.job.model_token - Uint256(1)) + " of " +
                  to_hex0x(wallet::kModels.bytes) + ", state root " + to_hex0x(root_.bytes));
        if (!losses_.empty())
            out_.line("  loss " + std::to_string(losses_.front().loss) + " -> " +
                      std::to_string(losses_.back().loss) + held_out_words(held_out_));
        if (!args_.skip_cheat) {
            out_.line("\n" + bold("A job that was cheated on") + "  (job " +
                      std::to_string(cheat_.id) + ")");
            event_line(cheat_story_, "SegmentCommitted",
                       "a segment with half of its steps skipped is committed");
            event_line(cheat_story_, "AuditOpened",
                       "second committee drawn by the chain's randomness");
            event_line(cheat_story_, "SegmentVoid",
                       "void: " + in_coins(cheat_story_.slashed_wei) + " slashed");
            event_line(cheat_story_, "JobClosed",
                       "client refunded: " + in_coins(cheat_story_.refund_wei));
        }
        out_.line("\n" + bold("The model says") + "\n" + sample_);
        out_.line("\n" + bold("Look") + "  " + args_.out +
                  "/{model.safetensors,config.json,README.md,loss.svg,receipt.json}");
        out_.line(bold("Try") + "   trainyard sample --model " + args_.out + " --prompt 'The '");
        if (args_.keep)
            out_.line(bold("Audit") + " trainyard verify --rpc " + net_->rpc_url(0) + " --job " +
                      std::to_string(args_.skip_cheat ? job_.id : cheat_.id) + " --segment 0");
        if (!args_.skip_cheat)
            out_.line(bold("Audit") + " trainyard verify --case " + args_.out +
                      "/audit.case   replays the segment that was cheated on");
        out_.line("\ndone in " + seconds_text((steady_ms() - started_ms_) / 1000));
    }

    void stay() {
        if (!out_.json)
            out_.line("\nthe network runs on, RPC " + bold(net_->rpc_url(0)) +
                      " (WebSocket too), files in " + folder_ + "; Ctrl-C ends it");
        while (!stop_was_requested() && net_->revive()) sleep_ms(200);
        tell("stopping");
    }

    const Output& out_;
    const DevnetArgs& args_;
    const uint64_t started_ms_ = steady_ms();
    ProgressLine bar_{out_};
    std::string folder_;
    bool keep_files_ = false;
    uint64_t chain_id_ = 0;
    std::unique_ptr<Devnet> net_;
    std::unique_ptr<wallet::MarketApi> market_;
    std::unique_ptr<wallet::EthClient> client_;
    Bytes data_;
    PostedJob job_, cheat_;
    JobStory story_, cheat_story_;
    Progress progress_;
    std::vector<training::LossPoint> losses_;
    std::optional<float> held_out_;
    Hash root_;
    std::string sample_;
};

}  // namespace

int run_devnet_init(const Output& out, const DevnetArgs& args) {
    if (const auto why = ports_misfit(args); !why.empty()) return out.fail(why), kUsage;
    const auto genesis = make_devnet(layout_of(args, args.folder));
    if (!genesis) return out.fail(genesis.error());
    const auto hash = to_hex0x(genesis->block_hash.bytes);
    out.line(out.json
                 ? boost::json::serialize(boost::json::object{{"dir", args.folder}, {"hash", hash}})
                 : "made a devnet in " + args.folder + ", block 0 " + hash +
                       "\nnext: trainyard devnet up --dir " + args.folder);
    return kOk;
}

int run_devnet_up(const Output& out, const DevnetArgs& args) {
    if (const auto why = ports_misfit(args); !why.empty()) return out.fail(why), kUsage;
    catch_stop_signals();
    const auto layout = layout_of(args, args.folder);
    if (wallet::file_exists(layout.genesis_path()))
        out.say("'" + args.folder +
                "' goes on as it was made: with its validators, ports and chain" +
                (args.settings.empty() ? "" : ", not with what --set says"));
    else if (const auto made = make_devnet(layout); !made)
        return out.fail(made.error());
    const auto net = Devnet::open(args.folder);
    if (!net) return out.fail(net.error());
    for (uint32_t n = 0; n < (*net)->size(); ++n)
        if (auto done = (*net)->start_node(n); !done) return out.fail(done.error());
    if (auto ready = (*net)->wait_for_block(1, kReadyTimeoutMs); !ready)
        return out.fail(ready.error());
    for (uint32_t n = 0; n < args.providers; ++n) {
        const ProviderStart start{"dev:" + std::to_string(9 - n % 5), "none", args.threads,
                                  args.no_cuda};
        if (auto done = (*net)->start_provider(start); !done) return out.fail(done.error());
    }
    for (uint32_t n = 0; n < (*net)->size(); ++n) {
        const auto url = (*net)->rpc_url(n);
        out.line(out.json ? boost::json::serialize(boost::json::object{{"node", n}, {"rpc", url}})
                          : "node " + std::to_string(n) + "  RPC " + url);
    }
    out.say("accounts: the ten of the mnemonic \"" + std::string(wallet::kDevMnemonic) +
            "\", as --key dev:0 to dev:9; Ctrl-C ends it");
    while (!stop_was_requested()) {
        const auto revived = (*net)->revive();
        if (!revived) return out.fail(revived.error());
        for (const auto& line : *revived) out.say(line);
        sleep_ms(200);
    }
    return kOk;
}

int run_devnet_demo(const Output& out, const DevnetArgs& args) {
    if (const auto why = ports_misfit(args); !why.empty()) return out.fail(why), kUsage;
    catch_stop_signals();
    Demo demo(out, args);
    const auto done = demo.run();
    return done ? kOk : out.fail(done.error());
}

}  // namespace trainyard::node::cli
