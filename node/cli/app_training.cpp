// SPDX-License-Identifier: Apache-2.0
// Flags and help of what trains: programs, data sets, runs without a chain.
#include "node/cli/app_arguments.hpp"
#include "training/backend.hpp"

namespace trainyard::node::cli {

namespace {

CLI::App* add_template(CLI::App& made, const std::string& name, const std::string& help,
                       const std::string& example, Arguments& a) {
    auto* sub = command(
        made, name, help, example,
        [&a, name] {
            a.program.gpt.name = name;
            return run_program_new(a.out, a.program);
        },
        a);
    sub->add_option("--data", a.program.data, "data set: text, or a file of `trainyard data`")
        ->required();
    sub->add_option("--out", a.program.out, "file to write")->required();
    return sub;
}

void add_templates(CLI::App& program, Arguments& a) {
    auto* made = group(program, "new", "make a program from a template");
    TemplateArgs& t = a.program.gpt;
    auto* gpt = add_template(*made, "gpt", "decoder-only transformer over bytes or tokens",
                             "trainyard program new gpt --data text.txt --out my.program", a);
    add_gpt(gpt, t);
    auto* mlp = add_template(
        *made, "mlp", "fully connected classifier of images",
        "trainyard program new mlp --data digits.tyd --hidden 256 --out my.program", a);
    add_size(mlp, "--layers", t.layers, "hidden layers [2]");
    add_size(mlp, "--hidden", t.hidden, "units of a hidden layer [128]");
    auto* cnn =
        add_template(*made, "cnn", "convolutional classifier of images",
                     "trainyard program new cnn --data digits.tyd --blocks 2 --out my.program", a);
    add_size(cnn, "--blocks", t.blocks, "blocks; each halves the image [2]");
    add_size(cnn, "--channels", t.channels, "channels of the first block [16]");
    auto* diffusion =
        add_template(*made, "diffusion", "generator of images (a small U-Net)",
                     "trainyard data shapes --out shapes.tyd\n  trainyard program new "
                     "diffusion --data shapes.tyd --out my.program",
                     a);
    add_size(diffusion, "--channels", t.channels, "channels at full resolution [32]");
    add_size(diffusion, "--timesteps", t.timesteps, "steps of the noise schedule [200]");
    for (auto* sub : {mlp, cnn, diffusion}) add_run(sub, t);
}

void add_foreign(CLI::App& program, Arguments& a) {
    auto* import = command(
        program, "import", "a model of another format as a model folder, to go on from",
        "trainyard program import --hf gpt2 --out base\n"
        "  trainyard program import --onnx classifier.onnx --out base",
        [&a] { return run_program_import(a.out, a.foreign); }, a);
    auto* hf = import->add_option("--hf", a.foreign.hugging_face,
                                  "folder with config.json (gpt2 or llama) and model.safetensors");
    import->add_option("--onnx", a.foreign.onnx, "forward graph of an image classifier")
        ->excludes(hf);
    import->add_option("--out", a.foreign.out, "folder to write")->capture_default_str();
    import->add_option("--sequence", a.foreign.sequence, "positions to keep [at most 256]");
}

}  // namespace

void add_program(CLI::App& app, Arguments& a) {
    auto* program = group(app, "program", "training programs");
    add_templates(*program, a);
    add_foreign(*program, a);
    auto* finetune = command(
        *program, "finetune", "go on from a model, with LoRA or with every weight",
        "trainyard program finetune --model model --data new.txt --rank 8 --out my.program "
        "--data-out my.tyd",
        [&a] { return run_program_finetune(a.out, a.program); }, a);
    finetune->add_option("--model", a.program.model, "folder of the model")->required();
    finetune->add_option("--data", a.program.data, "data set")->required();
    finetune->add_option("--rank", a.program.rank, "of the updates; 0 trains every weight")
        ->capture_default_str();
    finetune->add_option("--alpha", a.program.alpha, "the updates count alpha / rank")
        ->check(number_within("a finite number above 0", kLeastPositive, kMostFinite))
        ->capture_default_str();
    finetune->add_option("--sequence", a.program.gpt.sequence,
                         "tokens of a sequence [the model's]");
    finetune->add_option("--out", a.program.out, "program to write")->required();
    finetune
        ->add_option("--data-out", a.program.data_out, "data set to write, with the weights in it")
        ->required();
    add_run(finetune, a.program.gpt);
    auto* inspect = command(
        *program, "inspect", "show what a program computes and needs",
        "trainyard program inspect my.program",
        [&a] { return run_program_inspect(a.out, a.program); }, a);
    inspect->add_option("program", a.program.program, "program file")->required();
}

namespace {

void add_blobs(CLI::App& data, Arguments& a) {
    auto* blobs = command(
        data, "blobs", "what your node keeps of data sets, programs and states",
        "trainyard data blobs --rpc http://127.0.0.1:8545  # of a node with --http.admin",
        [&a] { return run_data_blobs(a.out, a.blobs); }, a);
    blobs->add_flag("--all", a.blobs.all, "also those that make room where it is needed");
    auto* release = command(
        data, "release", "let your node drop blobs, whoever it keeps them for, where it needs room",
        "trainyard data release 0x6b86…  # of a node with --http.admin",
        [&a] { return run_data_release(a.out, a.blobs); }, a);
    release->add_option("id", a.blobs.ids, "ids of blobs, as `trainyard data blobs` shows them")
        ->required()
        ->check(hexadecimal<Hash>("id of 32 bytes in hexadecimal"));
    for (auto* sub : {blobs, release}) add_rpc(sub, a.blobs.rpc);
}

}  // namespace

void add_data(CLI::App& app, Arguments& a) {
    auto* group_of_data = group(app, "data", "data sets, and what a node keeps of them");
    DataArgs& d = a.data;
    auto* prepare = command(
        *group_of_data, "prepare", "make a data set with an index, and check it",
        "trainyard data prepare texts --merges 1000 --out texts.tyd\n"
        "  trainyard data prepare chats.jsonl --kind jsonl --out chats.tyd\n"
        "  trainyard data prepare photos --kind images --out photos.tyd\n"
        "  trainyard data prepare train-images --kind idx --labels train-labels --out digits.tyd",
        [&a] { return run_data_prepare(a.out, a.data); }, a);
    prepare->add_option("path", d.path, "file or folder")->required();
    prepare->add_option("--kind", d.kind, "of what is read; tokens are uint16, images PNG")
        ->check(CLI::IsMember({"text", "jsonl", "tokens", "images", "idx"}))
        ->capture_default_str();
    prepare->add_option("--merges", d.merges, "text, jsonl: train a byte-pair tokenizer [none]");
    prepare->add_option("--field", d.field, "jsonl: member with the text")->capture_default_str();
    prepare->add_option("--vocabulary", d.vocabulary, "tokens: vocabulary [largest + 1]");
    prepare->add_option("--labels", d.labels, "idx: file with the labels");
    prepare->add_option("--classes", d.classes, "idx: number of classes [largest + 1]");
    auto* inspect = command(
        *group_of_data, "inspect", "check a data set and count what is in it",
        "trainyard data inspect photos.tyd --json",
        [&a] { return run_data_inspect(a.out, a.data); }, a);
    inspect->add_option("path", d.path, "data set")->required();
    auto* shapes = command(
        *group_of_data, "shapes", "the built-in example: coloured shapes of 16 x 16",
        "trainyard data shapes --count 4096 --out shapes.tyd",
        [&a] { return run_data_shapes(a.out, a.data); }, a);
    shapes->add_option("--count", d.count, "images")
        ->check(whole_within(1, 1'000'000))
        ->capture_default_str();
    shapes->add_option("--seed", d.seed, "of the drawing")->capture_default_str();
    for (auto* sub : {prepare, shapes})
        sub->add_option("--out", d.out, "file to write")->required();
    add_blobs(*group_of_data, a);
}

void add_training(CLI::App& app, Arguments& a) {
    auto* train = command(
        app, "train", "train here, without a chain",
        "trainyard train --data text.txt --out model\n"
        "  trainyard train --data text.txt --memory 2G --dry-run\n"
        "  mpirun -n 4 trainyard train --data text.txt  # 4 GPUs, or 4 CPUs: the same bits",
        [&a] { return run_train(a.out, a.train); }, a);
    train->add_option("--data", a.train.data, "data set: text, or a file of `trainyard data`")
        ->required();
    train->add_option("--program", a.train.program, "program file; default: the gpt template");
    train->add_option("--out", a.train.out, "folder for the model")->default_val("model");
    train->add_option("--seed", a.train.seed, "run seed, 32 bytes in hexadecimal [zeros]")
        ->check(hexadecimal<Hash>("32 bytes in hexadecimal"));
    train->add_flag("--dry-run", a.train.dry_run, "say what memory and time it would take");
    take_bytes(train->add_option("--memory", a.train.memory_bytes,
                                 "memory that the run may take, such as 2G or 1.5G: activations "
                                 "that do not fit are computed twice, with the same bits [no "
                                 "limit]"));
    train
        ->add_option("--checkpoint-every", a.train.checkpoint_every,
                     "steps between checkpoints, from which the same command goes on; 0: none")
        ->capture_default_str();
    add_devices(train, a.train.threads, a.train.no_cuda);
    std::vector<std::string_view> paths{training::to_text(training::CpuPath::best)};
    for (const auto path : training::kCpuPaths) paths.push_back(training::to_text(path));
    train
        ->add_option("--cpu-path", a.train.cpu_path,
                     "the CPU's instructions to use, without a GPU; every path gives the same bits")
        ->check(CLI::IsMember(paths))
        ->capture_default_str();
    add_gpt(train, a.train.gpt);
    auto* eval = command(
        app, "eval", "the loss of a model on its held-out records",
        "trainyard eval --model model --data text.txt --json",
        [&a] { return run_eval(a.out, a.eval); }, a);
    eval->add_option("--model", a.eval.model, "model folder")->required();
    eval->add_option("--data", a.eval.data, "the data set it was trained on")->required();
    add_devices(eval, a.eval.threads, a.eval.no_cuda);
    auto* sample = command(
        app, "sample", "generate text or images from a model folder",
        "trainyard sample --model model --prompt 'The licence'\n"
        "  trainyard sample --model model --count 16 --out samples.png",
        [&a] { return run_sample(a.out, a.sample); }, a);
    sample->add_option("--model", a.sample.model, "model folder")->required();
    sample->add_option("--prompt", a.sample.prompt, "text to continue")->capture_default_str();
    sample
        ->add_option("--out", a.sample.out,
                     "PNG file for images [samples.png], or a file for text [stdout]")
        ->type_name("PATH");
    sample->add_option("--steps", a.sample.steps, "denoising steps of images")
        ->capture_default_str();
    sample->add_option("--scale", a.sample.scale, "pixels per pixel of images")
        ->check(whole_within(1, 64))
        ->capture_default_str();
    sample->add_option("--count", a.sample.count, "tokens or images to generate")
        ->check(whole_within(1, 1'000'000))
        ->capture_default_str();
    sample->add_option("--temperature", a.sample.temperature, "0 takes the likeliest token")
        ->check(number_within("a number from 0 to 10", 0, 10))
        ->capture_default_str();
    sample->add_option("--seed", a.sample.seed, "of the draw")->capture_default_str();
    sample->add_option("--threads", a.sample.threads, "threads")->capture_default_str();
}

}  // namespace trainyard::node::cli
