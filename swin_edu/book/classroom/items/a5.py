"""Assignment 5: train, ablate, explain. It has no values to reach; a person grades it by this rubric."""

RUBRIC: dict[str, tuple[tuple[str, int], ...]] = {
    "training": (
        ("data, recipe and seed are named, and the cell has run", 1),
        ("loss and accuracy are drawn over the epochs, with an alt text", 1),
        ("the images that choose the epoch are not those of the report", 1),
        ("a simple reader stands beside the model on the same images", 1),
    ),
    "curves": (
        ("says what the curves show, with numbers from them", 1),
        ("says whether training was long enough, and why", 1),
        ("names something that the curves cannot tell", 1),
    ),
    "prediction": (
        ("one part, one question, one measure", 1),
        ("a direction and a rough size, written before the result", 1),
        ("a reason from how the part works", 1),
    ),
    "ablation": (
        ("both variants differ in the chosen part alone, or what else differs is said", 2),
        ("at least five seeds for each, the same for both", 1),
        ("measured on images that neither trained nor chose", 1),
        ("a second measure that could speak against the first", 1),
    ),
    "comparison": (
        ("every run is drawn, not only means, with an alt text", 2),
        ("the chance of such a gap is computed, and its smallest value known", 2),
    ),
    "verdict": (
        ("compares with the prediction, right or wrong", 1),
        ("claims no more than the runs carry", 2),
        ("compares with the table of chapter 10 or of the paper, and with their conditions", 1),
        ("says what would have to be done to be surer", 1),
    ),
    "maps": (
        ("two methods on the same pictures, right and wrong answers among them", 2),
        ("the maps lie on the picture, each named with method and block or stage", 1),
        ("a picture with an alt text that says what it shows", 1),
    ),
    "hiding": (
        ("what a map ranks highest is hidden, and answers that change are counted", 2),
        ("two controls, one of them random", 1),
        ("more than one model", 1),
    ),
    "seen": (
        ("tells where the methods agree and where not", 1),
        ("uses the controls: says what was learned and what was not", 1),
        ("keeps apart what is shown and what is guessed", 1),
    ),
    "essay": (
        ("answers its title with results of this notebook", 2),
        ("one part of Swin is explained so that a classmate understands it", 1),
        ("at least one limit, and what it means for the answer", 1),
        ("clear, at most 400 words, others' results with their source", 1),
    ),
}
