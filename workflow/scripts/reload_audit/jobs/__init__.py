"""What a job of each rule does in its own interpreter: start fresh processes and write down what happened there."""
