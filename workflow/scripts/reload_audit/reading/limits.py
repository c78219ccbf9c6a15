"""How much of a stranger's files is read: bytes, numbers, lengths and levels, all in one place.

They are far above what any saved model needs, and low enough that reading what was made to be slow takes a second.
Times are no limits here: what is read must not depend on how fast a machine is. Processes have those, and limits of
memory, from the configuration.
"""

from __future__ import annotations

MIB = 1 << 20
"""Bytes of a MiB."""

# --- Any file ------------------------------------------------------------------------------------------------------

FILE_BYTES = MIB
"""Bytes of a file of text, where nothing else is said."""

LONGEST_MESSAGE = 1000
"""Characters of a message about a file."""

# --- Plain values, in JSON, YAML and tables ------------------------------------------------------------------------

PLAIN_VALUES = 10_000
"""Values in what is handed on to environments and wrappers, such as keyword arguments."""

PLAIN_CHARACTERS = 100_000
"""Characters of all texts in it together: an alias may repeat a long one."""

PLAIN_LEVELS = 50
"""Lists and mappings that stand in each other, in anything that is handed on, and in any YAML and JSON."""

LARGEST_INTEGER = 2**63
"""Integers are below it, as those of tables and arrays are. To write out one of thousands of digits raises."""

LITERAL_CHARACTERS = 10_000
"""Characters of a Python literal that RL Zoo wrote into a text."""

LONGEST_NAME = 200
"""Characters of an environment's id, and of the dotted name of a module, a class or a function."""

YAML_VALUES = 5_000
"""Values in a YAML text: settings of RL Zoo have two hundred. Each takes 20 microseconds."""

YAML_NUMBER = 64
"""Characters up to which a YAML scalar may be a number; a longer one stays a text."""

PLACED_CHARACTERS = 100_000
"""Characters of a model card's metadata in which a figure is replaced."""

INI_CHARACTERS = 64 * 1024
"""Characters of an INI file: its parser looks for a delimiter anew at each character of a line."""

INI_LINE = 1_000
"""Characters of a line of an INI file."""

JSON_VALUES = 500_000
"""Values in a JSON text, as far as commas tell. Each may take a hundred bytes of memory."""

MANIFEST_BYTES = 8 * MIB
"""Bytes of the manifest of a recording, when it is planned."""

RECORDING_BYTES = 16 * MIB
"""Bytes of the manifest, and of the episodes, of a recording."""

# --- While planning ------------------------------------------------------------------------------------------------

SETTINGS_BYTES = 16 * MIB
"""Bytes that the settings in a model's zip may unpack to, when it is planned. Most have 20 KiB; observations that were
images may add some MiB."""

SETTINGS_VALUES = 200_000
"""Values in them, as far as commas tell: a text of 16 MiB may hold five million empty lists, which take a gigabyte."""

DIRECTORY_BYTES = MIB // 8
"""Bytes of a zip's table of contents, when it is planned. A saved model has seven members, of a hundred bytes each."""

FREE_BYTES = MIB
"""Bytes of a file that do not count towards :data:`PLANNED_BYTES`: so many well-formed models may be planned."""

PLANNED_BYTES = 1024 * MIB
"""Bytes that all files together may have beyond their free ones, when they are planned."""

FREE_YAML_VALUES = 1000
"""Values of a YAML file that do not count towards :data:`PLANNED_YAML_VALUES`."""

PLANNED_YAML_VALUES = 500_000
"""Values that all YAML files together may have beyond their free ones, when they are planned: ten seconds."""

TABLE_BYTES = 64 * MIB
"""Bytes of a table of models or claims."""

# --- What a repository says of its models ----------------------------------------------------------------------------

REPOSITORY_FILES = 500
"""Scripts, notebooks, settings and texts of a repository that are read, the outermost first."""

REPOSITORY_BYTES = 64 * MIB
"""Bytes of them together."""

ABOVE_ENTRIES = 20_000
"""Entries of folders of a repository that are looked at outside of the folder with models."""

SPOKEN_OF_MODELS = 500
"""Models of a folder beyond which its texts are not searched for what each of them earns."""

TABLE_ROWS = 200
"""Rows of a table in which models are told apart by its cells."""

TABLE_MODELS = 50
"""Models that are told apart by the cells of a table."""

NOTEBOOK_BYTES = 16 * MIB
"""Bytes of a notebook, with the pictures in it."""

SCRIPT_STEPS = 500_000
"""Statements and expressions of all scripts together that are followed; a hundred lines have a thousand."""

SCRIPT_STATEMENTS = 1000
"""Environments, models and files of models that are noted."""

SCRIPT_LEVELS = 150
"""Expressions and calls inside each other that are followed; Python's own limit is a thousand calls."""

SCRIPT_ROUNDS = 16
"""Rounds of a loop that are followed."""

SCRIPT_CHOICES = 8
"""Values that a name may have where that depends on what a script is started with."""

SCRIPT_ITEMS = 1024
"""Items of a list that a script makes by repetition."""

SCRIPT_CHARACTERS = 1000
"""Characters of a text that a script puts together."""

# --- One's own configuration ---------------------------------------------------------------------------------------

CONFIGURATION_BYTES = 16 * MIB
"""Bytes of a configuration's file."""

CONFIGURATION_VALUES = 500_000
"""Values in a configuration; aliases count as all that they stand for."""

CONFIGURATION_CHARACTERS = 16 * MIB
"""Characters of all texts in it together."""

SETTING_CHARACTERS = 100_000
"""Characters of one text in it, such as an argument of an environment."""

TRAINED_MODELS = 1_000_000
"""Models that all experiments together train."""

# --- A model's zip -------------------------------------------------------------------------------------------------

ZIP_ENTRIES = 100_000
"""Entries that a zip in memory may list; more take minutes."""

MODEL_MEMBERS = 1000
"""Members of a model's zip."""

MODEL_SETTINGS_BYTES = 64 * MIB
"""Bytes of the settings in a model's zip, when it is loaded, in a process with a limit of memory; without longer texts
than :data:`PICKLED_BYTES`."""

PICKLED_BYTES = 16 * MIB
"""Bytes of an attribute's pickle as it is written there, where the settings are large: buffers that people keep on a
model are longer."""

INSTRUCTIONS = 1_000_000
"""Opcodes of all pickles in a model together, and values that one of them may unfold to."""

TENSOR_INSTRUCTIONS = 100_000
"""Opcodes of a pickle of tensors inside a pickle."""

NESTED_TENSORS = 100
"""Files of tensors inside a pickle."""

HASHED_INTEGER = 2**60
"""Integers that are keys are below it: larger ones can be chosen so that Python's hashes of them collide."""

DIMENSIONS = 32
"""Dimensions of an array: NumPy has no more."""

ARRAY_SIZE = 2**40
"""Length of an array along one dimension."""

CHOICES = 2**20
"""Choices of a discrete space."""

STATISTICS_BYTES = 256 * MIB
"""Bytes of saved statistics of VecNormalize."""

# --- What is claimed -----------------------------------------------------------------------------------------------

CLAIM_BYTES = 64 * MIB
"""Bytes of ``evaluations.npz``, of a model card and of a monitor's file."""

LARGEST_REWARD = 1e100
"""Rewards are below it, so that their squares and sums are finite."""

LARGEST_COUNT = 2**31
"""Numbers of episodes and environments are below it."""

RECORDED_EPISODES = 1_000_000
"""Episodes of a recording's protocol."""

RECORDED_ENVIRONMENTS = 1000
"""Environments of a recording's protocol."""

RECORDED_STEPS = 1_000_000_000
"""Steps of an episode of a recording's protocol."""

RECORDED_LOOKS = 100
"""Looks of a recording's protocol."""

RECORDED_ATTRIBUTES = 20
"""Attributes that a recorder found changed by training; those of the constructor come first."""

# --- Near a model --------------------------------------------------------------------------------------------------

NEARBY_FOLDERS = 50
"""Folders beside a model in which its statistics are looked for."""

NEARBY_FILES = 20
"""Files there that are read."""

NEARBY_LOOKED_INTO = 500
"""Files there whose first bytes are read."""

NEARBY_BYTES = 8 * MIB
"""Bytes of such a file."""

JOINED_FILES = 1_000
"""Files in and below a folder that may be statistics or evaluations of models in it: among more, none is looked for."""

NEARBY_ENTRIES = 10_000
"""Entries of a folder that are looked at: it may be anybody's."""
